/** Handshake messages and their fragments (RFC 6347 section 4.2.2). */
import { putU16, putU24, u16, u24 } from '../bytes.ts';

export const handshakeType = {
  helloRequest: 0,
  clientHello: 1,
  serverHello: 2,
  helloVerifyRequest: 3,
  certificate: 11,
  serverKeyExchange: 12,
  certificateRequest: 13,
  serverHelloDone: 14,
  certificateVerify: 15,
  clientKeyExchange: 16,
  finished: 20,
} as const;

export const handshakeHeaderBytes = 12;
/** Larger than any honest message; a certificate of a few hundred bytes is usual. */
export const maxHandshakeBytes = 1 << 14;

/** A fragment's header and body, borrowed from the record it came in. */
export interface HandshakeFragment {
  readonly type: number;
  /** Of the whole message's body. */
  readonly length: number;
  readonly sequence: number;
  readonly offset: number;
  readonly body: Uint8Array;
}

/** Reads the fragment at `at`; null when it breaks its own bounds, those of the record, or the largest message. */
export function decodeFragment(plaintext: Uint8Array, at: number): HandshakeFragment | null {
  if (plaintext.length - at < handshakeHeaderBytes) return null;
  const length = u24(plaintext, at + 1);
  const offset = u24(plaintext, at + 6);
  const bodyBytes = u24(plaintext, at + 9);
  const start = at + handshakeHeaderBytes;
  if (length > maxHandshakeBytes || offset + bodyBytes > length || plaintext.length - start < bodyBytes) return null;
  return {
    type: plaintext[at] as number,
    length,
    sequence: u16(plaintext, at + 4),
    offset,
    body: plaintext.subarray(start, start + bodyBytes),
  };
}

export function putFragmentHeader(
  target: Uint8Array,
  at: number,
  type: number,
  length: number,
  sequence: number,
  offset: number,
  bodyBytes: number,
): void {
  target[at] = type;
  putU24(target, at + 1, length);
  putU16(target, at + 4, sequence);
  putU24(target, at + 6, offset);
  putU24(target, at + 9, bodyBytes);
}

/** Of a whole message (header and body): its type, number and body. */
export function messageType(message: Uint8Array): number {
  return message[0] as number;
}

export function messageSequence(message: Uint8Array): number {
  return u16(message, 4);
}

export function messageBody(message: Uint8Array): Uint8Array {
  return message.subarray(handshakeHeaderBytes);
}
