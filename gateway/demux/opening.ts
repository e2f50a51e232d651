/** What a TCP connection is, by its first bytes. Nothing is consumed, and nothing is kept. */
import { u16, u32 } from '../../tunnel-protocol/index.ts';

/** `more`: nothing can be said before more bytes are there; `unknown`: nothing that is served here. */
export type Opening = 'tls' | 'http' | 'stun' | 'ice-tcp' | 'more' | 'unknown';

const magicCookie = 0x2112a442;
const stunHeaderBytes = 20;
/** RFC 4571 frames that are accepted: a datagram of any path is no longer. */
const maxFrameBytes = 2048;
const tlsHandshake = 22;
/** uWebSockets.js answers 505 to a request line that comes in pieces, so it gets whole ones, up to this length. */
const maxRequestLineBytes = 8192;
const lineFeed = 0x0a;

const methods = ['GET ', 'POST ', 'PUT ', 'HEAD ', 'OPTIONS ', 'DELETE ', 'PATCH ', 'CONNECT ', 'TRACE '].map((text) =>
  Uint8Array.from(text, (character) => character.charCodeAt(0)),
);

/** `length` bytes are there, from the start of `bytes`. */
export function classifyOpening(bytes: Uint8Array, length: number): Opening {
  if (length === 0) return 'more';
  const first = bytes[0] as number;
  if (first === tlsHandshake) return 'tls';
  if (first > maxFrameBytes >>> 8) return classifyText(bytes, length);
  // STUN (RFC 8489 section 5) has the cookie at 4; behind the length of RFC 4571 it is at 6. Both at once cannot be:
  // the first half of the cookie would be the STUN length of a frame that is shorter.
  if (length < 8) return 'more';
  if (first <= 3 && u32(bytes, 4) === magicCookie) return 'stun';
  const frame = u16(bytes, 0);
  if (frame < stunHeaderBytes || frame > maxFrameBytes || (bytes[2] as number) > 3) return 'unknown';
  if (length < 10) return u16(bytes, 6) === magicCookie >>> 16 ? 'more' : 'unknown';
  return u32(bytes, 6) === magicCookie ? 'ice-tcp' : 'unknown';
}

function classifyText(bytes: Uint8Array, length: number): Opening {
  let possible = false;
  for (const method of methods) {
    const compared = Math.min(length, method.length);
    let at = 0;
    while (at < compared && method[at] === bytes[at]) at++;
    if (at === method.length) return hasLine(bytes, length) ? 'http' : 'more';
    possible ||= at === length;
  }
  return possible ? 'more' : 'unknown';
}

function hasLine(bytes: Uint8Array, length: number): boolean {
  if (length >= maxRequestLineBytes) return true;
  const end = bytes.indexOf(lineFeed);
  return end !== -1 && end < length;
}

/** Whether the head of an HTTP request is there to its end. */
export function hasWholeHead(bytes: Uint8Array, length: number): boolean {
  for (let at = 0; at + 3 < length; at++) {
    if (bytes[at] === 0x0d && bytes[at + 1] === 0x0a && bytes[at + 2] === 0x0d && bytes[at + 3] === 0x0a) return true;
  }
  return false;
}
