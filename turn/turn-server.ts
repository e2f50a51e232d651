/** The TURN server (RFC 8656): listeners hand it datagrams and connections, it does the rest. No socket of its own. */
import { randomBytes } from 'node:crypto';
import type { Path, TransportAddress } from '../tunnel-protocol/index.ts';
import { u16, u32 } from '../tunnel-protocol/index.ts';
import { AddressTable } from './address-table.ts';
import type { DataPlane } from './allocation.ts';
import { AllocationPool } from './allocation-pool.ts';
import { resolveTurnConfig, type TurnConfig, type TurnLimits } from './config.ts';
import { ControlPlane } from './control-plane.ts';
import type { TurnKind } from './client-link.ts';
import { createTurnCounters, createTurnTraffic, type TurnCounters, type TurnTraffic } from './counters.ts';
import type { TurnLogger } from './logger.ts';
import { Nonces } from './nonce.ts';
import { PeerPolicy } from './peer-policy.ts';
import { createDgramRelaySocket, type CreateRelaySocket } from './relay-socket.ts';
import { ReplyLimiter } from './reply-limiter.ts';
import { IndicationIds, SendIndication, sendIndicationType } from './send-indication.ts';
import { StreamClients, type TurnStreamInput } from './stream-clients.ts';
import type { TurnStream } from './stream-link.ts';
import { UdpLink, type TurnUdpSocket } from './udp-link.ts';

export interface TurnDeps {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Unix milliseconds, for the expiry in user names. */
  readonly wallClock: () => number;
  readonly log: TurnLogger;
  /** Whether this session exists: its users' allocations live as long. */
  readonly sessionLives: (sessionId: string) => boolean;
  /** Peers that a session is bound to among those that are allowed, as `relayAllow` has them; null or absent: all of them. */
  readonly peersOf?: (sessionId: string) => readonly string[] | null;
  /** The SFU in this process: datagrams to `sfuAddresses` go there as paths, past the kernel. */
  readonly sfu?: { receive(path: Path, datagram: Uint8Array): void };
  /** `node:crypto`'s randomBytes unless given. */
  readonly random?: (length: number) => Uint8Array;
  /** Plain `node:dgram` unless given. */
  readonly createRelaySocket?: CreateRelaySocket;
}

/** Where a UDP listener puts its datagrams. */
export interface TurnUdpInput<A extends TransportAddress = TransportAddress> {
  /** Any datagram, borrowed until the call returns. `remote` is kept as long as the client's allocation. Never throws. */
  receive(datagram: Uint8Array, remote: A): void;
}

export interface TurnServer {
  acceptUdp<A extends TransportAddress>(socket: TurnUdpSocket<A>): TurnUdpInput<A>;
  /** Null when there are too many connections: close it. Bytes already read are pushed first. */
  acceptStream(stream: TurnStream): TurnStreamInput | null;
  /** Where clients find an SFU as well, from now on. */
  addSfuAddresses(addresses: readonly TransportAddress[]): void;
  /** Call it about once a second: expiry is as exact as this is. */
  tick(now: number): void;
  /** How many allocations a session has. */
  allocationsOf(sessionId: string): number;
  /** Ends all allocations of a session. */
  endSession(sessionId: string): void;
  readonly counters: TurnCounters;
  readonly traffic: Readonly<Record<TurnKind, TurnTraffic>>;
  readonly limits: TurnLimits;
  readonly allocations: number;
  readonly streams: number;
  /** Ends all allocations and connections. Idempotent. */
  close(): void;
}

/** Throws TurnConfigError. */
export function createTurnServer(config: TurnConfig, deps: TurnDeps): TurnServer {
  return new Server(config, deps);
}

class Server implements TurnServer {
  readonly counters = createTurnCounters();
  readonly traffic = createTurnTraffic();
  readonly limits: TurnLimits;
  readonly #deps: TurnDeps;
  readonly #plane: DataPlane;
  readonly #pool: AllocationPool;
  readonly #control: ControlPlane;
  readonly #streams: StreamClients;

  constructor(given: TurnConfig, deps: TurnDeps) {
    const config = resolveTurnConfig(given);
    const { limits } = config;
    this.limits = limits;
    const random = deps.random ?? ((length: number) => randomBytes(length));
    const policy = new PeerPolicy(config);
    if (policy.overrides.length > 0) {
      deps.log.warn({ entries: policy.overrides }, 'TURN relays to addresses that are refused otherwise');
    }
    const sfu = deps.sfu ?? null;
    const counters = this.counters;
    const plane: DataPlane = {
      counters,
      traffic: this.traffic,
      policy,
      now: deps.now,
      ids: new IndicationIds(random(8)),
      indication: new SendIndication(),
      sfu,
    };
    this.#deps = deps;
    this.#plane = plane;
    this.#pool = new AllocationPool({
      config,
      plane,
      random,
      createRelaySocket: deps.createRelaySocket ?? createDgramRelaySocket,
      sockets: sfu === null || !policy.sfuOnly,
      peersOf: (sessionId) => {
        const peers = deps.peersOf?.(sessionId) ?? null;
        return peers === null ? policy : policy.narrowedTo(peers);
      },
      onClosed: (allocation) => {
        this.#control.forget(allocation);
        this.#streams.idle(allocation.link, deps.now());
      },
    });
    this.#control = new ControlPlane({
      authenticator: {
        realm: config.realm,
        secret: config.secret,
        nonces: new Nonces(random(32), limits.nonceLifetimeMs),
      },
      pool: this.#pool,
      limiter: new ReplyLimiter(
        limits.repliesPerSecondPerPrefix,
        limits.repliesPerSecond,
        u32(random(4), 0),
        deps.now(),
      ),
      counters,
      log: deps.log,
      now: deps.now,
      wallClock: deps.wallClock,
      sessionLives: deps.sessionLives,
    });
    this.#streams = new StreamClients({ control: this.#control, pool: this.#pool, plane, limits });
  }

  get allocations(): number {
    return this.#pool.size;
  }

  get streams(): number {
    return this.#streams.size;
  }

  acceptUdp<A extends TransportAddress>(socket: TurnUdpSocket<A>): TurnUdpInput<A> {
    return new UdpListener(socket, this.#plane, this.#control, this.#deps.now);
  }

  acceptStream(stream: TurnStream): TurnStreamInput | null {
    return this.#streams.accept(stream);
  }

  tick(now: number): void {
    this.#pool.tick(now);
    this.#streams.tick(now);
  }

  addSfuAddresses(addresses: readonly TransportAddress[]): void {
    this.#plane.policy.addSfu(addresses);
  }

  allocationsOf(sessionId: string): number {
    return this.#pool.ofSession(sessionId);
  }

  endSession(sessionId: string): void {
    this.#pool.endSession(sessionId);
  }

  close(): void {
    this.#pool.closeAll();
    this.#streams.close();
  }
}

class UdpListener<A extends TransportAddress> implements TurnUdpInput<A> {
  readonly #clients = new AddressTable<UdpLink<A>>();
  readonly #socket: TurnUdpSocket<A>;
  readonly #plane: DataPlane;
  readonly #control: ControlPlane;
  readonly #now: () => number;

  constructor(socket: TurnUdpSocket<A>, plane: DataPlane, control: ControlPlane, now: () => number) {
    this.#socket = socket;
    this.#plane = plane;
    this.#control = control;
    this.#now = now;
  }

  /** Runs for every datagram. */
  receive(datagram: Uint8Array, remote: A): void {
    const { counters, indication } = this.#plane;
    const first = datagram[0] ?? 0xff;
    const link = this.#clients.find(remote.address, remote.port);
    if (first >= 0x40 && first < 0x80) {
      if (link?.allocation) link.allocation.fromChannelData(datagram);
      else counters.dropped_no_allocation++;
    } else if (first >= 4 || datagram.length < 20) {
      counters.dropped_malformed++;
    } else if (u16(datagram, 0) === sendIndicationType) {
      if (!link?.allocation) counters.dropped_no_allocation++;
      else if (indication.read(datagram)) link.allocation.fromSendIndication(datagram);
      else counters.dropped_malformed++;
    } else {
      // Nothing is kept of a stranger: a link stays only when it gets an allocation.
      const from = link ?? new UdpLink(this.#socket, this.#clients, remote);
      this.#control.handle(from, datagram, this.#now());
    }
  }
}
