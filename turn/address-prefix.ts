import { formatIpAddress, parseIpAddress } from '../tunnel-protocol/index.ts';

/**
 * The network an address belongs to, as the text of its first address: addresses of one customer or one reflector's
 * target share a limit. Text that is no address is its own network.
 */
export function addressPrefix(address: string, ipv4Bits: number, ipv6Bits: number): string {
  const ip = parseIpAddress(address);
  if (ip === null) return address;
  const bits = ip.length === 4 ? ipv4Bits : ipv6Bits;
  for (let i = 0; i < ip.length; i++) {
    const kept = Math.max(0, Math.min(8, bits - i * 8));
    ip[i] = (ip[i] as number) & (0xff00 >>> kept);
  }
  return formatIpAddress(ip);
}
