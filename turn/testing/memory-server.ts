/** A TURN server on a clock that tests turn, with a network in memory: its listeners, relay sockets and peers. */
import { randomBytes } from 'node:crypto';
import type { Path, TransportAddress } from '../../tunnel-protocol/index.ts';
import { createTurnCredentials } from '../credentials.ts';
import type { RelaySocketOptions } from '../relay-socket.ts';
import { createTurnServer, type TurnServer, type TurnUdpInput } from '../turn-server.ts';
import type { TurnConfig } from '../config.ts';
import { TurnTestClient } from './turn-client.ts';
import { udpOutput } from './udp-output.ts';

export const secret = 'a secret for tests';
/** The wall clock's reading at the virtual clock's zero, in Unix ms. */
export const epochMs = 1_800_000_000_000;

export interface SentDatagram {
  readonly from: TransportAddress;
  readonly to: TransportAddress;
  readonly data: Buffer;
}

export class MemoryServer {
  now = 0;
  readonly server: TurnServer;
  /** What relay sockets sent, in order. */
  readonly sent: SentDatagram[] = [];
  /** Open relay sockets by port. */
  readonly sockets = new Map<number, RelaySocketOptions>();
  /** What reached the SFU by the short cut. */
  readonly atSfu: { path: Path; data: Buffer }[] = [];
  readonly deadSessions = new Set<string>();
  readonly warnings: object[] = [];
  readonly errors: object[] = [];
  readonly #input: TurnUdpInput;
  readonly #clients = new Map<string, TurnTestClient>();
  #nextPort = 1024;

  constructor(config: Partial<TurnConfig> = {}, options: { sfuHere?: boolean } = {}) {
    const ignore = (): void => {
      // Information is not looked at.
    };
    this.server = createTurnServer(
      {
        realm: 'test',
        secret,
        relay: {
          ipv4: { advertised: '198.51.100.1', bind: '10.0.0.1' },
          ipv6: { advertised: '2001:db8:5::1', bind: '2001:db8:5::1' },
        },
        relayAllow: ['203.0.113.0/24', '2001:db8:9::/48'],
        sfuAddresses: [{ address: '198.51.100.7', port: 443 }],
        ownAddresses: ['198.51.100.1', '203.0.113.250'],
        ...config,
      },
      {
        now: () => this.now,
        wallClock: () => epochMs + this.now,
        log: {
          info: ignore,
          warn: (fields) => this.warnings.push(fields),
          error: (fields) => this.errors.push(fields),
        },
        random: (length) => randomBytes(length),
        sessionLives: (id) => !this.deadSessions.has(id),
        createRelaySocket: (socket) => {
          if (this.sockets.has(socket.port)) return Promise.reject(new Error('EADDRINUSE'));
          this.sockets.set(socket.port, socket);
          return Promise.resolve({
            target: (address, port) => ({
              send: (datagram) => {
                const from = { address: socket.address, port: socket.port };
                this.sent.push({ from, to: { address, port }, data: Buffer.from(datagram) });
              },
            }),
            close: () => this.sockets.delete(socket.port),
          });
        },
        ...(options.sfuHere === true
          ? { sfu: { receive: (path, data) => this.atSfu.push({ path, data: Buffer.from(data) }) } }
          : {}),
      },
    );
    this.#input = this.server.acceptUdp(
      udpOutput({ address: '198.51.100.1', port: 3478 }, (datagram, { address, port }) =>
        this.#clients.get(`${address} ${String(port)}`)?.receive(datagram),
      ),
    );
  }

  client(
    options: { session?: string; address?: string; expiresInSeconds?: number; username?: string } = {},
  ): TurnTestClient {
    const remote = { address: options.address ?? '192.0.2.10', port: this.#nextPort++ };
    const expiry = (epochMs + this.now) / 1000 + (options.expiresInSeconds ?? 60);
    const credentials = createTurnCredentials(secret, options.session ?? 's1', expiry);
    const client = new TurnTestClient((bytes) => {
      lend(bytes, (lent) => {
        this.#input.receive(lent, remote);
      });
    }, credentials);
    if (options.username !== undefined) client.username = options.username;
    this.#clients.set(`${remote.address} ${String(remote.port)}`, client);
    return client;
  }

  /** Moves the clock, and lets the server see it. */
  pass(seconds: number): void {
    this.now += seconds * 1000;
    this.server.tick(this.now);
  }

  /** A peer's datagram arrives at a relayed address. */
  fromPeer(relayed: TransportAddress | null, peer: TransportAddress, data: Uint8Array): void {
    lend(data, (lent) => this.sockets.get(relayed?.port ?? 0)?.onMessage(lent, peer));
  }
}

/** Bytes are borrowed until the call returns: afterwards these say something else. */
function lend(bytes: Uint8Array, use: (lent: Uint8Array) => void): void {
  const lent = new Uint8Array(bytes);
  use(lent);
  lent.fill(0x55);
}
