/** As much of DER (X.690) as a self-signed certificate and an ECDSA signature need. */
import { concatBytes } from '../../../tunnel-protocol/index.ts';

export const tag = {
  integer: 0x02,
  bitString: 0x03,
  objectId: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
  version: 0xa0,
} as const;

export function element(type: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(contents);
  const { length } = content;
  const header =
    length < 0x80 ? [type, length] : length < 0x100 ? [type, 0x81, length] : [type, 0x82, length >>> 8, length & 0xff];
  return concatBytes([Uint8Array.from(header), content]);
}

/** An unsigned big-endian number, made as short as DER wants it. */
export function unsigned(bytes: Uint8Array): Uint8Array {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from += 1;
  const digits = bytes.subarray(from);
  return ((digits[0] ?? 0) & 0x80) === 0
    ? element(tag.integer, digits)
    : element(tag.integer, Uint8Array.of(0), digits);
}

export function bitString(bytes: Uint8Array): Uint8Array {
  return element(tag.bitString, Uint8Array.of(0), bytes);
}

/** Where one element of a document stands. */
export interface DerElement {
  readonly type: number;
  readonly start: number;
  /** Of its content. */
  readonly contentAt: number;
  readonly end: number;
}

/** Null when there is no whole element at `at` before `end`, or its length takes more than two bytes. */
export function readElement(bytes: Uint8Array, at: number, end: number): DerElement | null {
  if (at + 2 > end) return null;
  const type = bytes[at] as number;
  const first = bytes[at + 1] as number;
  let contentAt = at + 2;
  let length = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count < 1 || count > 2 || contentAt + count > end) return null;
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[contentAt + i] as number);
    contentAt += count;
  }
  return contentAt + length > end ? null : { type, start: at, contentAt, end: contentAt + length };
}
