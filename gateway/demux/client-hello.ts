/** What a TLS client offers, read from its ClientHello before the handshake (RFC 8446 section 4.1.2, RFC 7301). */
import { u16, u24 } from '../../tunnel-protocol/index.ts';

export interface ClientHello {
  /** `http1` is HTTP/1.1 or 1.0 without h2; `other` has no HTTP in its ALPN, or names STUN (RFC 7443); `none` has no ALPN. */
  readonly offers: 'h2' | 'http1' | 'other' | 'none';
  /** In lower case; empty if there is none, or one that is no host name. */
  readonly serverName: string;
}

/** `more`: the hello is not complete; `unparsable`: it will not be understood here, whatever follows. */
export type HelloResult = ClientHello | 'more' | 'unparsable';

const recordHeaderBytes = 5;
/** RFC 8446 section 5.1; a plaintext record is no longer. */
const maxRecordBytes = 16_384;
const handshakeType = 22;
const clientHelloType = 1;
const serverNameExtension = 0;
const alpnExtension = 16;
const hostNameType = 0;
const maxNameBytes = 253;
const offersH2 = 1;
const offersHttp1 = 2;
const offersStun = 4;

/** Longer ones go where the unparsable go. */
export const maxHelloBytes = 16_384;

const scratch = new Uint8Array(maxHelloBytes + 4);

/** `bytes` begins with the first record; `length` bytes are there. The hello may span records (RFC 8446 section 5.1). */
export function parseClientHello(bytes: Uint8Array, length: number): HelloResult {
  let at = 0;
  let joined = 0;
  let needed = 4;
  while (joined < needed) {
    if (at + recordHeaderBytes > length) return partialHeaderFits(bytes, at, length) ? 'more' : 'unparsable';
    const record = u16(bytes, at + 3);
    if (!partialHeaderFits(bytes, at, length) || record === 0 || record > maxRecordBytes) return 'unparsable';
    at += recordHeaderBytes;
    const present = Math.min(record, length - at);
    const copied = Math.min(present, scratch.length - joined);
    scratch.set(bytes.subarray(at, at + copied), joined);
    joined += copied;
    at += present;
    if (joined > 0 && scratch[0] !== clientHelloType) return 'unparsable';
    if (joined >= 4) {
      needed = 4 + u24(scratch, 1);
      if (needed > scratch.length) return 'unparsable';
    }
    if (present < record && joined < needed) return 'more';
  }
  return parseBody(needed);
}

/** As far as it is there: type handshake, version 3.x. */
function partialHeaderFits(bytes: Uint8Array, at: number, length: number): boolean {
  return (at >= length || bytes[at] === handshakeType) && (at + 1 >= length || bytes[at + 1] === 3);
}

/** Of the hello in the scratch memory, `end` bytes long with its header. */
function parseBody(end: number): HelloResult {
  // Version, random, then three lists with lengths of their own: session id, cipher suites, compression methods.
  let at = 4 + 2 + 32;
  if (at + 1 > end) return 'unparsable';
  at += 1 + (scratch[at] as number);
  if (at + 2 > end) return 'unparsable';
  at += 2 + u16(scratch, at);
  if (at + 1 > end) return 'unparsable';
  at += 1 + (scratch[at] as number);
  const hello: { offers: ClientHello['offers']; serverName: string } = { offers: 'none', serverName: '' };
  if (at === end) return hello;
  if (at + 2 > end || at + 2 + u16(scratch, at) !== end) return 'unparsable';
  at += 2;
  while (at < end) {
    if (at + 4 > end) return 'unparsable';
    const type = u16(scratch, at);
    const start = at + 4;
    at = start + u16(scratch, at + 2);
    if (at > end) return 'unparsable';
    if (type === serverNameExtension) {
      hello.serverName = parseServerName(start, at);
    } else if (type === alpnExtension) {
      const offers = parseAlpn(start, at);
      if (offers === null) return 'unparsable';
      hello.offers = offers;
    }
  }
  return hello;
}

/** RFC 6066 section 3; the first name of the list, as nobody sends two. What is malformed is for the handshake to refuse. */
function parseServerName(start: number, end: number): string {
  const name = start + 5;
  if (name > end || scratch[start + 2] !== hostNameType) return '';
  const length = u16(scratch, start + 3);
  if (length > maxNameBytes || name + length > end) return '';
  let text = '';
  for (let at = name; at < name + length; at++) text += String.fromCharCode(scratch[at] as number);
  return /^[\x21-\x7e]*$/.test(text) ? text.toLowerCase() : '';
}

/** Null for what is malformed. */
function parseAlpn(start: number, end: number): ClientHello['offers'] | null {
  if (start + 2 > end || start + 2 + u16(scratch, start) !== end) return null;
  let offers = 0;
  let at = start + 2;
  while (at < end) {
    const name = at + 1;
    at = name + (scratch[at] as number);
    if (at > end || at === name) return null;
    offers |= protocolAt(name, at);
  }
  // TURN clients may name HTTP beside it; no HTTP client names STUN.
  if ((offers & offersStun) !== 0) return 'other';
  if ((offers & offersH2) !== 0) return 'h2';
  return (offers & offersHttp1) !== 0 ? 'http1' : 'other';
}

function protocolAt(at: number, end: number): number {
  if (end - at === 2 && scratch[at] === 0x68 && scratch[at + 1] === 0x32) return offersH2;
  if (startsWith(at, end, 'stun.')) return offersStun;
  if (end - at !== 8 || !startsWith(at, end, 'http/1.')) return 0;
  const minor = scratch[at + 7];
  return minor === 0x31 || minor === 0x30 ? offersHttp1 : 0;
}

function startsWith(at: number, end: number, text: string): boolean {
  if (end - at < text.length) return false;
  for (let i = 0; i < text.length; i++) if (scratch[at + i] !== text.charCodeAt(i)) return false;
  return true;
}
