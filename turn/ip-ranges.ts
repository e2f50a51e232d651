/** IP ranges with ports, as operators write them, and what is no peer of anybody. */
import { parseIpAddress } from '../tunnel-protocol/index.ts';
import { TurnConfigError } from './errors.ts';

export interface IpRange {
  /** 4 or 16 bytes. */
  readonly network: Uint8Array;
  readonly prefixBits: number;
  readonly minPort: number;
  readonly maxPort: number;
}

/** Ranges that are refused unless an address *and* port is named: RFC 6890, RFC 4291 and clouds' metadata services. */
export const alwaysRefused: readonly IpRange[] = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.0/24',
  '224.0.0.0/3',
  // Unspecified, loopback and the IPv4-compatible, mapped and translated forms.
  '::/96',
  '::ffff:0:0/96',
  '::ffff:0:0:0/96',
  // Teredo hides the address that packets end up at.
  '2001::/32',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
  'fd00:ec2::/32',
  'fd20:ce::/32',
].map((text) => parseRange(text) as IpRange);

/** IPv6 ranges that carry an IPv4 address, and at which byte: 6to4 and NAT64 (RFC 6052, RFC 8215). */
const embedding: readonly { readonly range: IpRange; readonly at: number }[] = [
  { range: parseRange('2002::/16') as IpRange, at: 2 },
  { range: parseRange('64:ff9b::/96') as IpRange, at: 12 },
  { range: parseRange('64:ff9b:1::/48') as IpRange, at: 12 },
];

/** The IPv4 address that packets to this IPv6 address end up at, or null. */
export function embeddedIpv4(ip: Uint8Array): Uint8Array | null {
  if (ip.length !== 16) return null;
  for (const { range, at } of embedding) if (inNetwork(range, ip)) return ip.subarray(at, at + 4);
  return null;
}

export function inNetwork(range: IpRange, ip: Uint8Array): boolean {
  const { network, prefixBits } = range;
  if (network.length !== ip.length) return false;
  const whole = prefixBits >>> 3;
  for (let i = 0; i < whole; i++) if (network[i] !== ip[i]) return false;
  const rest = prefixBits & 7;
  return rest === 0 || (((network[whole] as number) ^ (ip[whole] as number)) & (0xff00 >>> rest)) === 0;
}

/** An IPv4-mapped address as the four bytes it stands for; any other address as it is. */
export function unmapped(ip: Uint8Array): Uint8Array {
  if (ip.length !== 16 || ip[10] !== 0xff || ip[11] !== 0xff) return ip;
  for (let i = 0; i < 10; i++) if (ip[i] !== 0) return ip;
  return ip.subarray(12);
}

/**
 * One entry of the relay allow-list: `address`, `address/bits`, each with `:port` or `:port-port` behind it; IPv6 with
 * ports in brackets, `[2001:db8::]/32:443`. Throws {@link TurnConfigError}.
 */
export function parseRelayAllow(text: string): IpRange {
  const range = parseRange(text.trim());
  if (range === null) throw new TurnConfigError('bad-relay-allow', text);
  return range;
}

/** True for a single address with a single port. */
export function isExact(range: IpRange): boolean {
  return range.prefixBits === range.network.length * 8 && range.minPort === range.maxPort;
}

function parseRange(text: string): IpRange | null {
  const parts =
    /^\[([0-9a-fA-F:.]+)\](?:\/(\d{1,3}))?(?::(\d{1,5})(?:-(\d{1,5}))?)?$/.exec(text) ??
    /^([0-9.]+)(?:\/(\d{1,2}))?(?::(\d{1,5})(?:-(\d{1,5}))?)?$/.exec(text) ??
    /^([0-9a-fA-F:.]*:[0-9a-fA-F:.]*)(?:\/(\d{1,3}))?$/.exec(text);
  if (parts === null) return null;
  const parsed = parseIpAddress(parts[1] as string);
  if (parsed === null) return null;
  // A mapped single address is the IPv4 address that was meant; a mapped CIDR stays what it says.
  const network = parts[2] === undefined ? unmapped(parsed) : parsed;
  const prefixBits = parts[2] === undefined ? network.length * 8 : Number(parts[2]);
  const minPort = parts[3] === undefined ? 1 : Number(parts[3]);
  const maxPort = parts[4] === undefined ? (parts[3] === undefined ? 65_535 : minPort) : Number(parts[4]);
  if (prefixBits > network.length * 8 || minPort < 1 || maxPort > 65_535 || minPort > maxPort) return null;
  return { network, prefixBits, minPort, maxPort };
}
