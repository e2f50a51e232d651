/** Whom clients may reach through the relay: nobody, but for the SFU and what the operator allowed. */
import { formatIpAddress, parseIpAddress, type TransportAddress } from '../tunnel-protocol/index.ts';
import { TurnConfigError } from './errors.ts';
import {
  alwaysRefused,
  embeddedIpv4,
  inNetwork,
  isExact,
  parseRelayAllow,
  unmapped,
  type IpRange,
} from './ip-ranges.ts';

export const peerVerdict = { refused: 0, sfu: 1, allowed: 2, exact: 3 } as const;
/** `exact` is named by address and port: nothing of it is the SFU's, so its datagrams may begin with any byte. */
export type PeerVerdict = (typeof peerVerdict)[keyof typeof peerVerdict];

export interface PeerPolicyOptions {
  readonly sfuAddresses: readonly TransportAddress[];
  readonly relayAllow: readonly string[];
  readonly ownAddresses: readonly string[];
}

/** What is asked of a peer, of all allocations or of those of one session. */
export interface PeerRules {
  /** For a peer's address and port (ChannelBind, Send, incoming datagrams). */
  verdict(address: string, port: number): PeerVerdict;
  /** For a permission (CreatePermission): whether any port of the address may be a peer. */
  mayPermit(address: string): boolean;
}

export class PeerPolicy implements PeerRules {
  readonly #sfu = new Set<string>();
  readonly #exact = new Set<string>();
  /** Addresses of both sets, for permissions, which have no port. */
  readonly #named = new Set<string>();
  readonly #own = new Set<string>();
  readonly #ranges: readonly IpRange[];
  /** Entries that override the always-refused list, to be warned of. */
  readonly overrides: readonly string[];

  /** Throws {@link TurnConfigError}. */
  constructor(options: PeerPolicyOptions) {
    this.addSfu(options.sfuAddresses);
    for (const address of options.ownAddresses) this.#own.add(canonical(address));
    const ranges: IpRange[] = [];
    const overrides: string[] = [];
    for (const text of options.relayAllow) {
      const range = parseRelayAllow(text);
      if (!isExact(range)) {
        ranges.push(range);
        continue;
      }
      const address = formatIpAddress(range.network);
      this.#name(this.#exact, address, range.minPort);
      if (this.#own.has(address) || isAlwaysRefused(range.network)) overrides.push(text);
    }
    this.#ranges = ranges;
    this.overrides = overrides;
  }

  /** Where clients find an SFU as well. */
  addSfu(addresses: readonly TransportAddress[]): void {
    for (const { address, port } of addresses) this.#name(this.#sfu, canonical(address), port);
  }

  /** True when nobody but the SFU can be a peer. */
  get sfuOnly(): boolean {
    return this.#ranges.length === 0 && this.#exact.size === 0;
  }

  /** The same for a session that may reach no more than these, entries as {@link parseRelayAllow} takes them. */
  narrowedTo(entries: readonly string[]): PeerRules {
    const ranges = entries.map(parseRelayAllow);
    const names = (address: string, port: number | null): boolean => {
      const ip = parseIpAddress(address);
      return ip !== null && ranges.some((range) => contains(range, ip, port));
    };
    return {
      verdict: (address, port) => (names(address, port) ? this.verdict(address, port) : peerVerdict.refused),
      mayPermit: (address) => names(address, null) && this.mayPermit(address),
    };
  }

  verdict(address: string, port: number): PeerVerdict {
    const ip = parseIpAddress(address);
    // Mapped addresses are no peers in any form: on the wire they would be IPv4, past the family's checks.
    if (ip === null || port === 0 || unmapped(ip) !== ip) return peerVerdict.refused;
    const key = `${formatIpAddress(ip)} ${String(port)}`;
    if (this.#sfu.has(key)) return peerVerdict.sfu;
    if (this.#exact.has(key)) return peerVerdict.exact;
    return this.#inRanges(ip, port) ? peerVerdict.allowed : peerVerdict.refused;
  }

  mayPermit(address: string): boolean {
    const ip = parseIpAddress(address);
    if (ip === null || unmapped(ip) !== ip) return false;
    return this.#named.has(formatIpAddress(ip)) || this.#inRanges(ip, null);
  }

  #inRanges(ip: Uint8Array, port: number | null): boolean {
    if (isAlwaysRefused(ip) || this.#own.has(formatIpAddress(ip))) return false;
    if (!this.#ranges.some((range) => contains(range, ip, port))) return false;
    // Packets to 6to4 and NAT64 addresses end up at the IPv4 address within: that has to be allowed as well.
    const inner = embeddedIpv4(ip);
    return inner === null || this.#inRanges(inner, port);
  }

  #name(set: Set<string>, address: string, port: number): void {
    set.add(`${address} ${String(port)}`);
    this.#named.add(address);
  }
}

function isAlwaysRefused(ip: Uint8Array): boolean {
  return alwaysRefused.some((range) => inNetwork(range, ip));
}

function contains(range: IpRange, ip: Uint8Array, port: number | null): boolean {
  return inNetwork(range, ip) && (port === null || (port >= range.minPort && port <= range.maxPort));
}

function canonical(address: string): string {
  const ip = parseIpAddress(address);
  if (ip === null) throw new TurnConfigError('bad-address', address);
  return formatIpAddress(unmapped(ip));
}
