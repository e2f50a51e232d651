/**
 * `SALLYPORT_UPSTREAM=udp`: SFUs of others, by allow-list. A session is bound to those that its join token names; its tunnel
 * carries datagrams to one of them and back, and its TURN allocations reach them. Signalling is theirs.
 */
import { randomInt } from 'node:crypto';
import type { Candidate, RoomSummary, RungMove } from '../../sfu/index.ts';
import {
  closeCodes,
  formatIpAddress,
  type CloseCode,
  type Path,
  type TransportAddress,
} from '../../tunnel-protocol/index.ts';
import { isExact, parseRelayAllow, PeerPolicy, peerVerdict, type CreateRelaySocket } from '../../turn/index.ts';
import type { ResumeClaims } from '../auth.ts';
import { RelayedSession } from './relayed-session.ts';
import {
  UpstreamNotAllowed,
  UpstreamUnavailable,
  type OpenedSession,
  type Upstream,
  type UpstreamRequest,
} from './upstream.ts';

/** Names as they stand in `sallyport_sfu_events_total`. */
export const udpUpstreamCounts = {
  sessions_opened: 'sessions opened',
  sessions_ended: 'sessions ended, for whatever reason',
  sessions_expired: 'sessions ended because neither a tunnel nor an allocation used them',
  upstream_refused: 'sessions refused because of the SFU that their token names',
  upstream_sent: 'datagrams of tunnels to SFUs',
  upstream_received: 'datagrams of SFUs to tunnels',
  upstream_dropped_early: 'datagrams of tunnels that have no socket yet, or no SFU to go to',
  upstream_dropped_class: 'datagrams that are neither STUN, DTLS nor RTP, either way',
  upstream_dropped_stranger: 'datagrams that came from elsewhere than the SFU',
  upstream_dropped_unowned: 'datagrams of no session, or for one without a connection',
  upstream_socket_errors: 'sockets that could not be opened, and sends that failed',
  reports_in: 'reports of clients on how their media path fares',
  reports_out: 'reports to them',
  control_errors: 'control connections ended because of what came on them',
  control_dropped: 'control frames that a path did not take; its connection was ended',
} as const;
export type UdpUpstreamCounters = Record<keyof typeof udpUpstreamCounts, number>;

export const udpUpstreamLimits = {
  sessions: 100_000,
  /** A session that neither a tunnel nor an allocation uses ends after this: its client may have its page open for long. */
  unusedMs: 600_000,
} as const;

export interface UdpUpstreamOptions {
  readonly node: string;
  /** `SALLYPORT_RELAY_ALLOW`. */
  readonly allow: readonly string[];
  readonly ownAddresses: readonly string[];
}

export interface UdpUpstreamDeps {
  readonly now: () => number;
  readonly createRelaySocket: CreateRelaySocket;
  /** TURN allocations of a session. */
  readonly allocationsOf: (sessionId: string) => number;
  readonly events: {
    rungMoved(move: RungMove, sessionId: string): void;
    sessionEnded(sessionId: string): void;
    taken(sessionId: string, node: string, take: number): void;
  };
}

export class UdpUpstream implements Upstream {
  readonly counters: UdpUpstreamCounters;
  readonly #options: UdpUpstreamOptions;
  readonly #deps: UdpUpstreamDeps;
  readonly #policy: PeerPolicy;
  readonly #sessions = new Map<string, RelayedSession>();
  readonly #epoch = randomInt(2 ** 32);

  /** Throws TurnConfigError. */
  constructor(options: UdpUpstreamOptions, deps: UdpUpstreamDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#policy = new PeerPolicy({
      sfuAddresses: [],
      relayAllow: options.allow,
      ownAddresses: options.ownAddresses,
    });
    const names = Object.keys(udpUpstreamCounts) as (keyof UdpUpstreamCounters)[];
    this.counters = Object.fromEntries(names.map((name) => [name, 0])) as UdpUpstreamCounters;
  }

  openSession(request: UpstreamRequest): Promise<OpenedSession> {
    const { sessionId, room, identity, upstream } = request;
    if (this.#sessions.size >= udpUpstreamLimits.sessions) {
      return Promise.reject(new UpstreamUnavailable('this edge has as many sessions as it may have'));
    }
    const target = this.#targetOf(upstream ?? this.#options.allow);
    if (target !== null && this.#policy.verdict(target.address, target.port) === peerVerdict.refused) {
      this.counters.upstream_refused++;
      const where = `${target.address} port ${String(target.port)}`;
      return Promise.reject(
        new UpstreamNotAllowed(`The token names ${where}, which SALLYPORT_RELAY_ALLOW of this edge does not allow.`),
      );
    }
    const { counters } = this;
    const { now, events, createRelaySocket } = this.#deps;
    const { node } = this.#options;
    const session = new RelayedSession(
      { id: sessionId, room, identity, peers: upstream ?? null, target, epoch: this.#epoch, now: now() },
      {
        counters,
        createRelaySocket,
        now,
        taken: (_, take) => {
          events.taken(sessionId, node, take);
        },
        rungMoved: (move) => {
          events.rungMoved(move, sessionId);
        },
        ended: () => {
          this.#end(session, 'normal');
        },
      },
    );
    this.#sessions.set(sessionId, session);
    counters.sessions_opened++;
    return Promise.resolve({ node, epoch: this.#epoch });
  }

  endSession({ session }: ResumeClaims): Promise<boolean> {
    const found = this.#sessions.get(session);
    if (found !== undefined) this.#end(found, 'normal');
    return Promise.resolve(found !== undefined);
  }

  mayAttach({ session, epoch }: ResumeClaims): 'yes' | 'unknown' {
    return epoch === this.#epoch && this.#sessions.has(session) ? 'yes' : 'unknown';
  }

  attach({ session }: ResumeClaims, path: Path): void {
    const found = this.#sessions.get(session);
    // It ended since its token was read.
    if (found === undefined) path.close(closeCodes['unknown-session'].wire, 'unknown-session');
    else found.attach(path);
  }

  detach(path: Path): void {
    if (path.owner instanceof RelayedSession) path.owner.detach(path);
  }

  /** Runs for every datagram. What came by UDP, ICE-TCP or TURN has no session here. */
  receive(path: Path, datagram: Uint8Array): void {
    if (path.owner instanceof RelayedSession) path.owner.receive(path, datagram);
    else this.counters.upstream_dropped_unowned++;
  }

  sessionLives(sessionId: string): boolean {
    return this.#sessions.has(sessionId);
  }

  peersOf(sessionId: string): readonly string[] | null {
    return this.#sessions.get(sessionId)?.peers ?? null;
  }

  /** To be called about once a second. */
  tick(now: number): void {
    for (const session of this.#sessions.values()) {
      session.tick(now);
      if (this.#deps.allocationsOf(session.id) > 0) session.usedAt = now;
      if (now - session.usedAt < udpUpstreamLimits.unusedMs) continue;
      this.counters.sessions_expired++;
      this.#end(session, 'unknown-session');
    }
  }

  /** Who is in a room, the SFU knows. */
  rooms(): Promise<readonly RoomSummary[]> {
    return Promise.resolve([]);
  }

  room(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  kick(): Promise<void> {
    return Promise.reject(new UpstreamUnavailable('the rooms are those of an SFU elsewhere'));
  }

  mute(): Promise<void> {
    return this.kick();
  }

  startRecording(): Promise<never> {
    return Promise.reject(new UpstreamUnavailable('the rooms are those of an SFU elsewhere'));
  }

  stopRecording(): Promise<never> {
    return this.startRecording();
  }

  sessionsByRung(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { rung } of this.#sessions.values()) counts.set(rung ?? 'none', (counts.get(rung ?? 'none') ?? 0) + 1);
    return counts;
  }

  sfuAddresses(): readonly Candidate[] {
    return [];
  }

  close(): Promise<void> {
    for (const session of [...this.#sessions.values()]) this.#end(session, 'draining');
    return Promise.resolve();
  }

  /** The first that is one address and one port. */
  #targetOf(entries: readonly string[]): TransportAddress | null {
    const range = entries.map(parseRelayAllow).find(isExact);
    return range === undefined ? null : { address: formatIpAddress(range.network), port: range.minPort };
  }

  #end(session: RelayedSession, code: CloseCode): void {
    if (!this.#sessions.delete(session.id)) return;
    this.counters.sessions_ended++;
    session.close(code);
    this.#deps.events.sessionEnded(session.id);
  }
}
