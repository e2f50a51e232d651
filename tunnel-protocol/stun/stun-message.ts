/**
 * STUN messages, read in place (RFC 8489 sections 5 and 14).
 *
 * ```
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |0 0|     STUN Message Type     |         Message Length        |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                         Magic Cookie                          |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                     Transaction ID (96 bits)                  |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |  Attributes: type (16), length (16), value, padding to 32 bits ...
 * ```
 */
import { u16, u32 } from '../bytes.ts';
import { stunAttribute } from './registry.ts';
import type { StunClass } from './registry.ts';

export const stunMagicCookie = 0x2112a442;
export const stunHeaderBytes = 20;
export const stunTransactionIdBytes = 12;
/** Larger messages are refused: no path carries more in one datagram. */
export const maxStunBytes = 2048;

export const stunDecodeErrors = [
  'too-short',
  'too-long',
  /** First two bits not zero, or no magic cookie. */
  'not-stun',
  /** The header's length is not a multiple of four, or not that of the datagram. */
  'wrong-message-length',
  'attribute-overruns-message',
  'wrong-message-integrity-length',
  'wrong-fingerprint-length',
  'attribute-after-fingerprint',
] as const;
export type StunDecodeError = (typeof stunDecodeErrors)[number];

/**
 * A view of a well-formed message. It borrows `bytes`: valid as long as these are. Attribute offsets (`at`) point to
 * the attribute's type field. Attributes behind MESSAGE-INTEGRITY do not exist for a reader (RFC 8489 section 9),
 * except FINGERPRINT.
 */
export class StunMessage {
  readonly bytes: Uint8Array;
  /** Offset of MESSAGE-INTEGRITY, or -1. */
  readonly integrityAt: number;
  /** Offset of FINGERPRINT, or -1. */
  readonly fingerprintAt: number;
  /** Offset at which the attributes end that a reader may see. */
  readonly #end: number;

  /** Use {@link decodeStun}. */
  constructor(bytes: Uint8Array, integrityAt: number, fingerprintAt: number, end: number) {
    this.bytes = bytes;
    this.integrityAt = integrityAt;
    this.fingerprintAt = fingerprintAt;
    this.#end = end;
  }

  get messageClass(): StunClass {
    const type = u16(this.bytes, 0);
    return (((type >>> 7) & 2) | ((type >>> 4) & 1)) as StunClass;
  }

  get method(): number {
    const type = u16(this.bytes, 0);
    return ((type >>> 2) & 0xf80) | ((type >>> 1) & 0x70) | (type & 0xf);
  }

  /** 12 bytes, borrowed. */
  get transactionId(): Uint8Array {
    return this.bytes.subarray(8, stunHeaderBytes);
  }

  /** Offset of the first attribute, or -1. */
  first(): number {
    return this.#end > stunHeaderBytes ? stunHeaderBytes : -1;
  }

  /** Offset of the attribute behind the one at `at`, or -1. */
  after(at: number): number {
    const next = endOfAttribute(this.bytes, at);
    return next < this.#end ? next : -1;
  }

  typeAt(at: number): number {
    return u16(this.bytes, at);
  }

  /** The attribute's value without padding, borrowed. */
  valueAt(at: number): Uint8Array {
    return this.bytes.subarray(at + 4, at + 4 + u16(this.bytes, at + 2));
  }

  /** Offset of the first attribute of this type (later ones do not count, RFC 8489 section 14), or -1. */
  find(type: number): number {
    for (let at = this.first(); at !== -1; at = this.after(at)) if (u16(this.bytes, at) === type) return at;
    return -1;
  }

  has(type: number): boolean {
    return this.find(type) !== -1;
  }

  /** The value of the first attribute of this type, borrowed; null when there is none. */
  value(type: number): Uint8Array | null {
    const at = this.find(type);
    return at === -1 ? null : this.valueAt(at);
  }

  /** A 32-bit attribute; null when there is none or it has another length. */
  u32(type: number): number | null {
    const at = this.find(type);
    return at === -1 || u16(this.bytes, at + 2) !== 4 ? null : u32(this.bytes, at + 4);
  }

  /** A UTF-8 attribute, ill-formed parts replaced; null when there is none. */
  text(type: number): string | null {
    const value = this.value(type);
    return value === null ? null : utf8.decode(value);
  }
}

const utf8 = new TextDecoder();

function endOfAttribute(bytes: Uint8Array, at: number): number {
  return at + 4 + ((u16(bytes, at + 2) + 3) & ~3);
}

/**
 * Checks every length of a message once and returns a view of it, or the reason why it is none. Never throws.
 * The message must fill `bytes` exactly. MESSAGE-INTEGRITY and FINGERPRINT are located, not verified.
 */
export function decodeStun(bytes: Uint8Array): StunMessage | StunDecodeError {
  const length = bytes.length;
  if (length < stunHeaderBytes) return 'too-short';
  if (length > maxStunBytes) return 'too-long';
  if (((bytes[0] as number) & 0xc0) !== 0 || u32(bytes, 4) !== stunMagicCookie) return 'not-stun';
  if (u16(bytes, 2) !== length - stunHeaderBytes || (length & 3) !== 0) return 'wrong-message-length';
  let integrityAt = -1;
  let sha256At = -1;
  let fingerprintAt = -1;
  for (let at = stunHeaderBytes; at < length; at = endOfAttribute(bytes, at)) {
    if (fingerprintAt !== -1) return 'attribute-after-fingerprint';
    if (endOfAttribute(bytes, at) > length) return 'attribute-overruns-message';
    const type = u16(bytes, at);
    if (type === stunAttribute.MESSAGE_INTEGRITY && integrityAt === -1) {
      if (u16(bytes, at + 2) !== 20) return 'wrong-message-integrity-length';
      integrityAt = at;
    } else if (type === stunAttribute.MESSAGE_INTEGRITY_SHA256 && sha256At === -1) {
      sha256At = at;
    } else if (type === stunAttribute.FINGERPRINT) {
      if (u16(bytes, at + 2) !== 4) return 'wrong-fingerprint-length';
      fingerprintAt = at;
    }
  }
  // What follows the code is not covered by it. MESSAGE-INTEGRITY-SHA256 ends the list only where it stands alone.
  let end = integrityAt !== -1 ? integrityAt : sha256At;
  if (end === -1) end = fingerprintAt !== -1 ? fingerprintAt : length;
  return new StunMessage(bytes, integrityAt, fingerprintAt, end);
}
