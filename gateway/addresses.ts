/** IP addresses as text, in one canonical form: dotted IPv4; IPv6 per RFC 5952 section 4, without a zone. */
import { formatIpAddress, parseIpAddress } from '../tunnel-protocol/index.ts';

const mappedPrefix = '::ffff:';

/** 4 or 16 bytes. An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is written as the IPv4 address it is. */
export function formatAddress(bytes: Uint8Array): string {
  return canonicalSocketAddress(formatIpAddress(bytes));
}

/** What Node's sockets report, made canonical: they leave mapping prefixes and zones on. */
export function canonicalSocketAddress(address: string): string {
  if (address.startsWith(mappedPrefix) && address.includes('.')) return address.slice(mappedPrefix.length);
  const zone = address.indexOf('%');
  return zone === -1 ? address : address.slice(0, zone);
}

/** The canonical form of an address that a person wrote, or null if it is none. */
export function parseAddress(text: string): string | null {
  const bare = text.startsWith('[') && text.endsWith(']') && text.includes(':') ? text.slice(1, -1) : text;
  const bytes = parseIpAddress(bare);
  return bytes === null ? null : formatAddress(bytes);
}

/** Of a canonical address. */
export function isLoopback(address: string): boolean {
  return address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}

export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** IPv6 literals in brackets, as URLs and Host headers have them. */
export function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

const registeredName = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*\.?$/;
/** WHATWG URL, section 3.5. */
const endsInNumber = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$/;

/**
 * Splits `host` or `host:port` (RFC 9110 section 7.2); the host comes back in lower case, IPv6 in brackets.
 * Null for anything that must not be echoed into a URL.
 */
export function parseAuthority(text: string): { readonly host: string; readonly port: number | null } | null {
  const parts = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::([0-9]{1,5}))?$/.exec(text);
  const host = parts?.[1]?.toLowerCase();
  if (host === undefined) return null;
  const port = parts?.[2] === undefined ? null : Number(parts[2]);
  if (port !== null && (port < 1 || port > 65535)) return null;
  if (host.startsWith('[')) return parseAddress(host) === null ? null : { host, port };
  if (!registeredName.test(host)) return null;
  // URL parsers read such names as IPv4 addresses, of which there is one way to write them.
  return endsInNumber.test(host) && parseAddress(host) !== host ? null : { host, port };
}
