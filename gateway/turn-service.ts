/** TURN as the edge serves it: the sockets and clocks around turn/, which has none. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Path, TransportAddress } from '../tunnel-protocol/index.ts';
import {
  createTurnServer,
  serveSocket,
  type RelayAddress,
  type TurnCounters,
  type TurnKind,
  type TurnLimits,
  type TurnLogger,
  type TurnServer,
  type TurnStream,
  type TurnStreamInput,
  type TurnTraffic,
} from '../turn/index.ts';
import { isWildcard } from './addresses.ts';
import type { Libc, TlsConnection } from './libc/index.ts';
import { TurnListener } from './turn-listener.ts';
import { RelaySockets } from './turn-relay-sockets.ts';
import { serveTcpStream, serveTlsStream } from './turn-native-stream.ts';
import { listenUdpOnEach } from './udp-socket.ts';

export interface TurnServiceConfig {
  /** Shared with whoever makes credentials (`createTurnCredentials`). */
  readonly secret: string;
  /** At most 48 bytes. */
  readonly realm: string;
  /** The first of each family is told to clients as the relayed address. */
  readonly publicAddresses: readonly string[];
  /** Where clients find the SFU of this process, as in its candidates. */
  readonly sfuAddresses: readonly TransportAddress[];
  /** This machine's addresses. Relay sockets bind to the public address if it is one of them, else to the wildcard. */
  readonly ownAddresses: readonly string[];
  /** `SALLYPORT_RELAY_ALLOW`. */
  readonly relayAllow: readonly string[];
  /** Inclusive. IANA's dynamic ports unless said otherwise. */
  readonly relayPorts?: { readonly min: number; readonly max: number };
  readonly limits?: Partial<TurnLimits>;
}

export interface TurnServiceDeps {
  /** The SFU of this process: datagrams for it take no socket. */
  readonly sfu: { receive(path: Path, datagram: Uint8Array): void };
  /** `loadLibc()`; null is the fallback, one system call per datagram. */
  readonly libc: Libc | null;
  readonly log: TurnLogger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Unix milliseconds. */
  readonly wallClock: () => number;
  /** Whether this session exists. */
  readonly sessionLives: (sessionId: string) => boolean;
  /** Peers that a session is bound to; null: all that are allowed. */
  readonly peersOf?: (sessionId: string) => readonly string[] | null;
}

/** Throws TurnConfigError. */
export class TurnService {
  readonly #server: TurnServer;
  readonly #relays: RelaySockets;
  readonly #libc: Libc | null;
  readonly #listeners: TurnListener[] = [];

  constructor(config: TurnServiceConfig, deps: TurnServiceDeps) {
    const { secret, realm, sfuAddresses, ownAddresses, relayAllow, relayPorts, limits } = config;
    const { sfu, libc, log, now, wallClock, sessionLives, peersOf } = deps;
    this.#libc = libc;
    this.#relays = new RelaySockets(libc);
    this.#server = createTurnServer(
      {
        secret,
        realm,
        relay: relayAddresses(config),
        sfuAddresses,
        ownAddresses,
        relayAllow,
        ...(relayPorts === undefined ? {} : { relayPorts }),
        ...(limits === undefined ? {} : { limits }),
      },
      {
        sfu,
        log,
        now,
        wallClock,
        sessionLives,
        ...(peersOf === undefined ? {} : { peersOf }),
        createRelaySocket: (options) => this.#relays.open(options),
      },
    );
  }

  get counters(): TurnCounters {
    return this.#server.counters;
  }

  get traffic(): Readonly<Record<TurnKind, TurnTraffic>> {
    return this.#server.traffic;
  }

  get allocations(): number {
    return this.#server.allocations;
  }

  /** Opens a socket on each address, with the same port; 0 lets the system choose it. Rejects with `ListenError`. */
  async listenUdp(addresses: readonly string[], port: number): Promise<number> {
    try {
      return await listenUdpOnEach(addresses, port, async (address, wanted) => {
        const listener = await TurnListener.open(this.#server, address, wanted, this.#libc);
        this.#listeners.push(listener);
        return listener.socket;
      });
    } catch (error) {
      await this.#closeListeners();
      throw error;
    }
  }

  /** Serves a connection of which no byte has been read, errors included. `remote` is the client, whoever is in between. */
  serveTcp(socket: Socket, remote: TransportAddress): void {
    serveTcpStream(this.#server, socket, remote, this.#libc);
  }

  /** The same after the TLS handshake. */
  serveTls(socket: TLSSocket, remote: TransportAddress): void {
    serveSocket(this.#server, socket, 'turn-tls', null, remote);
  }

  /** The same past Node; `seen` is what has been read, borrowed. */
  serveNativeTls(connection: TlsConnection, remote: TransportAddress, seen: Uint8Array): void {
    serveTlsStream(this.#server, connection, remote, seen);
  }

  /** Any other connection of a client; null when there are too many. */
  accept(stream: TurnStream): TurnStreamInput | null {
    return this.#server.acceptStream(stream);
  }

  /** SFU nodes that clients may be told of from now on. */
  addSfuAddresses(addresses: readonly TransportAddress[]): void {
    this.#server.addSfuAddresses(addresses);
  }

  allocationsOf(sessionId: string): number {
    return this.#server.allocationsOf(sessionId);
  }

  endSession(sessionId: string): void {
    this.#server.endSession(sessionId);
  }

  /** Call it about once a second. */
  tick(now: number): void {
    this.#server.tick(now);
  }

  /** Ends all allocations and connections, and closes all sockets. Idempotent. */
  async close(): Promise<void> {
    this.#server.close();
    await Promise.all([this.#closeListeners(), this.#relays.close()]);
  }

  async #closeListeners(): Promise<void> {
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
  }
}

function relayAddresses({ publicAddresses, ownAddresses }: TurnServiceConfig): {
  ipv4?: RelayAddress;
  ipv6?: RelayAddress;
} {
  const ipv4 = publicAddresses.find((address) => !address.includes(':') && !isWildcard(address));
  const ipv6 = publicAddresses.find((address) => address.includes(':') && !isWildcard(address));
  const relay = (advertised: string, wildcard: string): RelayAddress => ({
    advertised,
    bind: ownAddresses.includes(advertised) ? advertised : wildcard,
  });
  return {
    ...(ipv4 === undefined ? {} : { ipv4: relay(ipv4, '0.0.0.0') }),
    ...(ipv6 === undefined ? {} : { ipv6: relay(ipv6, '::') }),
  };
}
