/** The header that a load balancer puts before a connection's bytes: PROXY protocol, versions 1 and 2 (HAProxy). */
import { u16 } from '../../tunnel-protocol/index.ts';
import { formatAddress, parseAddress } from '../addresses.ts';

export interface ProxyHeader {
  /** Bytes of the header; what follows is the connection's own. */
  readonly length: number;
  /** Null where the sender speaks for itself (LOCAL, UNKNOWN): the socket's address counts. */
  readonly source: { readonly address: string; readonly port: number } | null;
}

export type ProxyResult = ProxyHeader | 'more' | 'bad';

/** A longest v1 line, with its end. */
const maxLineBytes = 107;
/** More than any known sender's extensions need; the specification asks for 536 at least. */
const maxBinaryBytes = 2048;
const signature = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const lineStart = Uint8Array.of(0x50, 0x52, 0x4f, 0x58, 0x59, 0x20);
const localCommand = 0x20;
const proxyCommand = 0x21;
const tcpOverIpv4 = 0x11;
const tcpOverIpv6 = 0x21;

export function parseProxyHeader(bytes: Uint8Array, length: number): ProxyResult {
  if (startsLike(bytes, length, signature)) return length < 16 ? 'more' : parseBinary(bytes, length);
  if (startsLike(bytes, length, lineStart)) return parseLine(bytes, length);
  return 'bad';
}

/** As far as it is there. */
function startsLike(bytes: Uint8Array, length: number, start: Uint8Array): boolean {
  for (let i = 0; i < length && i < start.length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

function parseBinary(bytes: Uint8Array, length: number): ProxyResult {
  const command = bytes[12] as number;
  const family = bytes[13] as number;
  const rest = u16(bytes, 14);
  const whole = 16 + rest;
  if (whole > maxBinaryBytes || (command !== proxyCommand && command !== localCommand)) return 'bad';
  if (length < whole) return 'more';
  if (command === localCommand || family === 0) return { length: whole, source: null };
  const addressBytes = { [tcpOverIpv4]: 4, [tcpOverIpv6]: 16 }[family];
  if (addressBytes === undefined || rest < 2 * addressBytes + 4) return 'bad';
  const address = formatAddress(bytes.subarray(16, 16 + addressBytes));
  return { length: whole, source: { address, port: u16(bytes, 16 + 2 * addressBytes) } };
}

function parseLine(bytes: Uint8Array, length: number): ProxyResult {
  const seen = Math.min(length, maxLineBytes);
  let text = '';
  for (let i = 0; i < seen; i++) {
    if (bytes[i] === 0x0d) {
      if (i + 1 === seen) return seen === maxLineBytes ? 'bad' : 'more';
      return bytes[i + 1] === 0x0a ? parseFields(text.split(' '), i + 2) : 'bad';
    }
    text += String.fromCharCode(bytes[i] as number);
  }
  return seen === maxLineBytes ? 'bad' : 'more';
}

function parseFields(fields: readonly string[], length: number): ProxyResult {
  const [, family, source = '', , sourcePort = ''] = fields;
  if (family === 'UNKNOWN') return { length, source: null };
  if (fields.length !== 6 || (family !== 'TCP4' && family !== 'TCP6')) return 'bad';
  const address = parseAddress(source);
  const port = Number(sourcePort);
  if (address === null || source.startsWith('[') || source.includes(':') !== (family === 'TCP6')) return 'bad';
  if (!/^[0-9]{1,5}$/.test(sourcePort) || port > 65_535) return 'bad';
  return { length, source: { address, port } };
}
