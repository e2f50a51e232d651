import { putU16, putU32 } from '../bytes.ts';
import { maxStunBytes, stunHeaderBytes, stunMagicCookie, stunTransactionIdBytes } from './stun-message.ts';
import type { StunClass } from './registry.ts';

const initialBytes = 256;

/**
 * Writes one STUN message, attribute by attribute (RFC 8489 sections 5 and 14). Attributes with a shape of their own
 * are added by the functions of the neighbouring files; MESSAGE-INTEGRITY and FINGERPRINT come last, in this order.
 * Throws RangeError when the message would grow beyond {@link maxStunBytes}, or the transaction id has another length
 * than 12 bytes.
 */
export class StunBuilder {
  #bytes = new Uint8Array(initialBytes);
  #length = stunHeaderBytes;

  constructor(messageClass: StunClass, method: number, transactionId: Uint8Array) {
    if (transactionId.length !== stunTransactionIdBytes) throw new RangeError('a transaction id has 12 bytes');
    const classBits = ((messageClass & 2) << 7) | ((messageClass & 1) << 4);
    const methodBits = ((method & 0xf80) << 2) | ((method & 0x70) << 1) | (method & 0xf);
    putU16(this.#bytes, 0, classBits | methodBits);
    putU32(this.#bytes, 4, stunMagicCookie);
    this.#bytes.set(transactionId, 8);
  }

  /** An attribute with these bytes as its value. They are copied. */
  attribute(type: number, value: Uint8Array): this {
    this.reserve(type, value.length).set(value);
    return this;
  }

  /** An attribute without a value, such as USE-CANDIDATE. */
  flag(type: number): this {
    this.reserve(type, 0);
    return this;
  }

  u32(type: number, value: number): this {
    putU32(this.reserve(type, 4), 0, value);
    return this;
  }

  /** A UTF-8 attribute. */
  text(type: number, text: string): this {
    return this.attribute(type, utf8.encode(text));
  }

  /**
   * Adds an attribute of `length` zero bytes, padded with zeros, and returns its value to be filled in at once: the
   * next call may move it. The header's message length already counts it.
   */
  reserve(type: number, length: number): Uint8Array {
    const at = this.#length;
    const end = at + 4 + ((length + 3) & ~3);
    this.#grow(end);
    putU16(this.#bytes, at, type);
    putU16(this.#bytes, at + 2, length);
    this.#length = end;
    putU16(this.#bytes, 2, end - stunHeaderBytes);
    return this.#bytes.subarray(at + 4, at + 4 + length);
  }

  /** The message so far. Borrowed until the next attribute is added. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The finished message, as bytes of its own. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #grow(needed: number): void {
    if (needed > maxStunBytes) throw new RangeError('a STUN message has at most 2048 bytes');
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(maxStunBytes);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

const utf8 = new TextEncoder();
