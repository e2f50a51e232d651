import type { TurnKind } from './client-link.ts';

/** Monotonic counts, read at a scrape. */
export type TurnCounters = Record<TurnCounterName, number>;

export const turnCounterNames = [
  // Control messages.
  'requests',
  'binding',
  'malformed',
  'fingerprint_mismatch',
  'unexpected',
  'unauthenticated',
  'bad_request',
  'stale_nonce',
  'unknown_attribute',
  'allocation_mismatch',
  'wrong_credentials',
  'forbidden',
  'quota',
  'no_capacity',
  'refused_otherwise',
  'internal_error',
  'rate_limited',
  'allocations_made',
  'allocations_ended',
  // Datagrams relayed and dropped.
  'relayed_to_peer',
  'relayed_to_sfu',
  'relayed_to_client',
  'dropped_class',
  'dropped_no_allocation',
  'dropped_no_channel',
  'dropped_no_permission',
  'dropped_peer_refused',
  'dropped_bandwidth',
  'dropped_oversized',
  'dropped_backlog',
  'dropped_malformed',
  'relay_socket_error',
  // Streams.
  'streams_accepted',
  'streams_refused',
  'streams_malformed',
  'streams_timed_out',
] as const;
export type TurnCounterName = (typeof turnCounterNames)[number];

export function createTurnCounters(): TurnCounters {
  return Object.fromEntries(turnCounterNames.map((name) => [name, 0])) as TurnCounters;
}

/** Datagrams of clients of one kind, by their way to this server. */
export interface TurnTraffic {
  /** From clients, for a peer. */
  received: number;
  /** From peers, to clients. */
  sent: number;
  /** Of either direction; why is in {@link TurnCounters}. */
  dropped: number;
}

export function createTurnTraffic(): Record<TurnKind, TurnTraffic> {
  const none = (): TurnTraffic => ({ received: 0, sent: 0, dropped: 0 });
  return { 'turn-udp': none(), 'turn-tcp': none(), 'turn-tls': none() };
}
