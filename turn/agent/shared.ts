/** What all clients of an agent share, and what it counts. */
import { createHash } from 'node:crypto';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import type { Nonces } from '../nonce.ts';
import type { ReplyLimiter } from '../reply-limiter.ts';
import type { AgentClient } from './agent-client.ts';

export const turnAgentLimits = {
  /** A client is one address and port, or one connection. */
  clients: 256,
  /** Requests of a client that the server has not answered. */
  pendingPerClient: 32,
  pendingMs: 30_000,
  /** A client without an allocation is forgotten. */
  idleMs: 30_000,
  /** Tries of one request: unsigned, signed, and with a fresh nonce. */
  attempts: 4,
  nonceLifetimeMs: 3_600_000,
  repliesPerSecondPerPrefix: 100,
  repliesPerSecond: 1000,
} as const;

export const turnAgentCounts = [
  'requests',
  'answers',
  'relayed_to_edge',
  'relayed_to_client',
  'unauthenticated',
  'rate_limited',
  'malformed',
  'dropped_no_allocation',
  'dropped_no_tunnel',
  'clients_refused',
  'clients_ended',
  'refused_by_edge',
] as const;
export type TurnAgentCounters = Record<(typeof turnAgentCounts)[number], number>;

export interface AgentCredentials {
  readonly username: string;
  readonly credential: string;
}

/** The way back to one client. */
export interface AgentLink {
  readonly remote: TransportAddress;
  /** On a connection, where ChannelData is padded and the sender's address is proven. */
  readonly isStream: boolean;
  /** The bytes are borrowed until it returns. */
  send(message: Uint8Array): void;
  /** The client is forgotten: a connection is closed. */
  end(): void;
  /** The agent's; null for a stranger, of whom nothing is kept. */
  client: AgentClient | null;
}

export interface TurnAgentOptions extends AgentCredentials {
  readonly realm: string;
}

export interface TurnAgentDeps {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
  /** Hands a message to the server; an empty one ends the flow. False when it went nowhere. Borrowed until it returns. */
  readonly send: (flow: number, message: Uint8Array) => boolean;
}

/** What all clients of an agent share. */
export interface AgentShared {
  readonly options: TurnAgentOptions;
  readonly deps: TurnAgentDeps;
  readonly counters: TurnAgentCounters;
  readonly nonces: Nonces;
  readonly limiter: ReplyLimiter;
  /** Of the agent's own credentials. */
  readonly key: Uint8Array;
  /** Null while there is no server. */
  server: {
    readonly username: string;
    readonly credential: string;
    realm: string;
    nonce: string;
    key: Uint8Array;
  } | null;
}

/** RFC 8489 section 9.2.2. */
export function longTermKey(username: string, realm: string, password: string): Uint8Array {
  return createHash('md5').update(`${username}:${realm}:${password}`).digest();
}
