import { networkInterfaces } from 'node:os';
import { canonicalSocketAddress, isWildcard } from './addresses.ts';

/** Canonical addresses of this machine's interfaces. Link-local ones are left out: nobody is given them to call. */
export function localAddresses(): readonly string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return addresses.map(({ address }) => canonicalSocketAddress(address)).filter((address) => !isLinkLocal(address));
}

/**
 * The addresses to open UDP sockets on: a socket bound to a wildcard answers from the route's address and not from the
 * one that was asked, so wildcards become every local address. `::` covers IPv4 too, as it does for TCP.
 */
export function addressesForUdp(hosts: readonly string[], local: readonly string[]): readonly string[] {
  const addresses = hosts.flatMap((host) => {
    if (!isWildcard(host)) return [host];
    return local.filter((address) => host === '::' || !address.includes(':'));
  });
  return [...new Set(addresses)];
}

function isLinkLocal(address: string): boolean {
  return address.startsWith('169.254.') || /^fe[89ab]/.test(address);
}
