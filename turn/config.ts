/** What a TURN server is told once, checked as a whole before anything listens. */
import { parseIpAddress, type TransportAddress } from '../tunnel-protocol/index.ts';
import { TurnConfigError } from './errors.ts';

/** The relayed addresses of one family. */
export interface RelayAddress {
  /** Told to clients in XOR-RELAYED-ADDRESS. */
  readonly advertised: string;
  /** What relay sockets bind to; differs from `advertised` behind a NAT. */
  readonly bind: string;
}

export interface TurnConfig {
  /** At most 48 bytes. */
  readonly realm: string;
  /** Shared with whoever makes credentials; see credentials.ts. */
  readonly secret: string;
  readonly relay: { readonly ipv4?: RelayAddress; readonly ipv6?: RelayAddress };
  /** Inclusive. IANA's dynamic ports, 49152 to 65535, unless said otherwise. */
  readonly relayPorts?: { readonly min: number; readonly max: number };
  /**
   * Peers besides the SFU, see {@link parseRelayAllow}. An exact `address:port` overrides even the always-refused
   * list and may be sent anything; all else is bound to the first bytes of RFC 7983.
   */
  readonly relayAllow?: readonly string[];
  /** Addresses and ports of this system's SFU, as clients find them in candidates. */
  readonly sfuAddresses: readonly TransportAddress[];
  /** This machine's addresses: no peer of anybody, but for the SFU's own ports. */
  readonly ownAddresses?: readonly string[];
  readonly limits?: Partial<TurnLimits>;
}

/** "User" is a session, whatever user names it was given; "address" an IPv4 address or an IPv6 /56. */
export interface TurnLimits {
  readonly allocations: number;
  readonly allocationsPerUser: number;
  readonly allocationsPerAddress: number;
  readonly permissionsPerUser: number;
  readonly permissionsPerAddress: number;
  readonly channelsPerUser: number;
  readonly channelsPerAddress: number;
  /** Payload, both directions together; what exceeds it is dropped. One second's worth may come at once. */
  readonly bytesPerSecondPerUser: number;
  readonly bytesPerSecondPerAddress: number;
  /** Answers to unauthenticated datagrams, per /24 or /56; twice as many may come at once. */
  readonly repliesPerSecondPerPrefix: number;
  readonly repliesPerSecond: number;
  readonly streams: number;
  /** Unsent bytes of a client's connection beyond which its datagrams are dropped. */
  readonly streamBacklogBytes: number;
  /** A connection without an allocation is closed after this. */
  readonly streamIdleMs: number;
  /** Requests that a connection may fail to authenticate before it is closed. */
  readonly streamFailures: number;
  readonly nonceLifetimeMs: number;
}

export const defaultTurnLimits: TurnLimits = {
  allocations: 10_000,
  // turnutils_uclient with 40 clients makes 80 under one name.
  allocationsPerUser: 128,
  // A company behind one address is the common case here.
  allocationsPerAddress: 4096,
  permissionsPerUser: 512,
  permissionsPerAddress: 32_768,
  channelsPerUser: 512,
  channelsPerAddress: 32_768,
  bytesPerSecondPerUser: 25_000_000,
  bytesPerSecondPerAddress: 250_000_000,
  repliesPerSecondPerPrefix: 100,
  repliesPerSecond: 5000,
  streams: 20_000,
  streamBacklogBytes: 524_288,
  streamIdleMs: 15_000,
  streamFailures: 16,
  nonceLifetimeMs: 3_600_000,
};

/** Lifetimes in seconds, RFC 8656 sections 3.2, 9 and 12. */
export const turnLifetime = { default: 600, max: 3600, permission: 300, channel: 600 } as const;

const maxRealmBytes = 48;
const dynamicPorts = { min: 49_152, max: 65_535 };

export interface ResolvedTurnConfig extends TurnConfig {
  readonly relayPorts: { readonly min: number; readonly max: number };
  readonly relayAllow: readonly string[];
  readonly ownAddresses: readonly string[];
  readonly limits: TurnLimits;
}

/** Throws {@link TurnConfigError}. */
export function resolveTurnConfig(config: TurnConfig): ResolvedTurnConfig {
  if (new TextEncoder().encode(config.realm).length > maxRealmBytes) throw new TurnConfigError('realm-too-long');
  if (config.secret === '') throw new TurnConfigError('secret-missing');
  const { ipv4, ipv6 } = config.relay;
  if (ipv4 === undefined && ipv6 === undefined) throw new TurnConfigError('no-relay-address');
  if (ipv4 !== undefined) checkFamily(ipv4, 4);
  if (ipv6 !== undefined) checkFamily(ipv6, 16);
  const relayPorts = config.relayPorts ?? dynamicPorts;
  const { min, max } = relayPorts;
  if (!Number.isInteger(min) || !Number.isInteger(max) || min < 1 || max > 65_535 || min > max) {
    throw new TurnConfigError('bad-relay-ports', `${String(min)}-${String(max)}`);
  }
  const limits = { ...defaultTurnLimits, ...config.limits };
  for (const [name, value] of Object.entries(limits)) if (!(value > 0)) throw new TurnConfigError('bad-limit', name);
  return {
    ...config,
    relayPorts,
    relayAllow: config.relayAllow ?? [],
    ownAddresses: config.ownAddresses ?? [],
    limits,
  };
}

function checkFamily(address: RelayAddress, bytes: number): void {
  for (const text of [address.advertised, address.bind]) {
    if (parseIpAddress(text)?.length !== bytes) throw new TurnConfigError('bad-address', text);
  }
}
