/**
 * The header of an exchange: 36 bytes, integers big-endian. A request carries it in its URL, in hex; an answer begins
 * with it as a frame; on a stream it may come again among the frames.
 */
import { putU16, putU32, u16, u32 } from '../bytes.ts';
import { encodeFrame } from '../frames.ts';
import { exchangeLimits } from './limits.ts';

/** First byte of the header. On a WebSocket a frame of this type is unknown and ignored. */
export const exchangeType = 0xfc;
export const exchangeHeaderBytes = 36;

/** Bits of the second byte; the others are sent as 0 and ignored. */
export const exchangeFlag = {
  /** The client has had no answer on this connection yet: the server may make it. */
  fresh: 1,
  /** The answer may wait for something to send, up to `holdMs`. */
  hold: 2,
} as const;

export interface ExchangeHeader {
  readonly flags: number;
  /** 0, or the sender ends the connection with this close code. */
  readonly close: number;
  /** 16 hexadecimal digits, lower case: 64 random bits that the client made. */
  readonly connection: string;
  /** Grows with every connection of a session: a request that comes late makes none that is older than the present. */
  readonly generation: number;
  /** Numbers the client's requests from 1; an answer repeats its request's. */
  readonly exchange: number;
  /** The oldest exchange whose answer the client still reads: what was sent on one before is here, or is lost. */
  readonly oldest: number;
  /** Number of the next control frame of this sender's that follows. Control frames count from 1 in each direction. */
  readonly first: number;
  /** The sender of this header has all of the peer's control frames up to this one. */
  readonly ack: number;
  readonly holdMs: number;
  readonly gatherMs: number;
}

/** A header from its bytes, or null. Bytes behind the 36 are ignored. */
export function decodeExchangeHeader(bytes: Uint8Array): ExchangeHeader | null {
  if (bytes.length < exchangeHeaderBytes || bytes[0] !== exchangeType) return null;
  const close = u16(bytes, 2);
  const exchange = u32(bytes, 16);
  const oldest = u32(bytes, 20);
  const first = u32(bytes, 24);
  if (close !== 0 && (close < 4000 || close > 4999)) return null;
  if (exchange === 0 || oldest > exchange || first === 0) return null;
  return {
    flags: bytes[1] as number,
    close,
    connection: hex(bytes.subarray(4, 12)),
    generation: u32(bytes, 12),
    exchange,
    oldest,
    first,
    ack: u32(bytes, 28),
    holdMs: u16(bytes, 32),
    gatherMs: u16(bytes, 34),
  };
}

/** Fresh memory. Throws RangeError unless `connection` is 16 hexadecimal digits. */
export function encodeExchangeHeader(header: ExchangeHeader): Uint8Array {
  const connection = fromHex(header.connection);
  if (connection?.length !== 8) throw new RangeError('A connection is named by 16 hexadecimal digits');
  const bytes = new Uint8Array(exchangeHeaderBytes);
  bytes[0] = exchangeType;
  bytes[1] = header.flags;
  putU16(bytes, 2, header.close);
  bytes.set(connection, 4);
  putU32(bytes, 12, header.generation);
  putU32(bytes, 16, header.exchange);
  putU32(bytes, 20, header.oldest);
  putU32(bytes, 24, header.first);
  putU32(bytes, 28, header.ack);
  putU16(bytes, 32, header.holdMs);
  putU16(bytes, 34, header.gatherMs);
  return bytes;
}

/** The query of a request's URL, without the question mark. */
export function exchangeQuery(header: ExchangeHeader): string {
  return queryName + hex(encodeExchangeHeader(header));
}

/** The header from a request's query; null when it is not exactly one. */
export function headerOfQuery(query: string): ExchangeHeader | null {
  if (query.length !== queryName.length + 2 * exchangeHeaderBytes || !query.startsWith(queryName)) return null;
  const bytes = fromHex(query.slice(queryName.length));
  if (bytes === null) return null;
  const header = decodeExchangeHeader(bytes);
  return header === null || header.holdMs > exchangeLimits.maxHoldMs ? null : header;
}

/** The answer to a request whose connection is over, or was never there. */
export function closingBody(request: ExchangeHeader, wire: number): Uint8Array {
  const header = { ...request, flags: 0, close: wire, oldest: 0, first: 1, ack: 0, holdMs: 0, gatherMs: 0 };
  return encodeFrame(encodeExchangeHeader(header));
}

const queryName = 'x=';
const digits = '0123456789abcdef';

function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += digits.charAt(byte >>> 4) + digits.charAt(byte & 15);
  return text;
}

function fromHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0) return null;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    const high = digits.indexOf(text.charAt(2 * i).toLowerCase());
    const low = digits.indexOf(text.charAt(2 * i + 1).toLowerCase());
    if (high < 0 || low < 0) return null;
    bytes[i] = (high << 4) | low;
  }
  return bytes;
}
