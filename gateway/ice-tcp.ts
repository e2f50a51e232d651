/**
 * ICE over TCP, the passive side (RFC 6544): connections that say by their first frame that they carry ICE. Each is a
 * path from its first byte, so its number and time are bounded until the SFU has accepted a connectivity check on it.
 */
import type { Socket } from 'node:net';
import type { Path, TransportAddress } from '../tunnel-protocol/index.ts';
import type { Traffic } from './counters.ts';
import { ClientCounts, clientOf } from './demux/index.ts';
import { FlushQueue } from './flush-queue.ts';
import { iceTcpPathLimits, IceTcpPath, type IceTcpEnding, type IceTcpHost } from './ice-tcp-path.ts';

export interface IceTcpLimits {
  /** In all. When there are more, the oldest that has not proved itself is cut. */
  readonly connections: number;
  /** Per client: an IPv4 address, or an IPv6 /64. When there are more, the newest is refused. */
  readonly connectionsPerClient: number;
  /** How long a connection may go without a connectivity check that the SFU accepts. */
  readonly unboundMs: number;
}

export const defaultIceTcpLimits: IceTcpLimits = {
  connections: 20_000,
  // A company behind one address is the common case here.
  connectionsPerClient: 4096,
  unboundMs: 10_000,
};

export interface IceTcpOptions {
  readonly receive: (path: Path, datagram: Uint8Array) => void;
  /** The path is gone. Called once for each, from the event loop and never from within `receive` or a path's `send`. */
  readonly detach: (path: Path) => void;
  readonly traffic: Traffic;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly limits?: Partial<IceTcpLimits>;
  /** A connection was refused, or ended by this side. */
  readonly refused?: (reason: IceTcpEnding) => void;
}

interface Connection {
  readonly client: string;
  /** When it was last without an owner in the SFU. */
  unboundSinceMs: number;
}

export class IceTcp {
  readonly #options: IceTcpOptions;
  readonly #limits: IceTcpLimits;
  readonly #host: IceTcpHost;
  readonly #counts: ClientCounts;
  readonly #connections = new Map<IceTcpPath, Connection>();
  /** The oldest first. */
  readonly #unbound = new Set<IceTcpPath>();
  #scratch: Uint8Array | null = null;

  constructor(options: IceTcpOptions) {
    const { receive, traffic, now } = options;
    this.#options = options;
    this.#limits = { ...defaultIceTcpLimits, ...options.limits };
    this.#counts = new ClientCounts({
      maxConnections: this.#limits.connections,
      maxConnectionsPerClient: this.#limits.connectionsPerClient,
    });
    this.#host = {
      receive,
      traffic,
      now,
      flushes: new FlushQueue(),
      scratch: () => (this.#scratch ??= Buffer.allocUnsafeSlow(iceTcpPathLimits.writeBytes)),
      scratchTaken: () => {
        this.#scratch = null;
      },
      boundChanged: (path) => {
        this.#boundChanged(path);
      },
      ended: (path, ending) => {
        this.#ended(path, ending);
      },
    };
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Those that have not proved themselves, or whose session let go of them. */
  get unboundConnections(): number {
    return this.#unbound.size;
  }

  /** Serves the connection from now on, errors included. `remote` is the client's own address, canonical. */
  serve(socket: Socket, remote: TransportAddress): void {
    socket.on('error', ignore);
    const client = clientOf(remote.address);
    let refusal = this.#counts.refusal(client);
    if (refusal === 'full' && this.#cutOldestUnbound()) refusal = this.#counts.refusal(client);
    if (refusal !== null) {
      this.#options.refused?.(refusal === 'full' ? 'ice_tcp_full' : 'ice_tcp_full_client');
      socket.destroy();
      return;
    }
    if (socket.destroyed) return;
    const path = new IceTcpPath(socket, remote, this.#host);
    this.#counts.add(client);
    this.#connections.set(path, { client, unboundSinceMs: this.#options.now() });
    this.#unbound.add(path);
    socket.once('close', () => {
      path.handleClosed();
      this.#options.detach(path);
    });
  }

  /** To be called every second or so. */
  tick(now: number): void {
    for (const path of this.#unbound) {
      if (now - (this.#connections.get(path)?.unboundSinceMs ?? 0) < this.#limits.unboundMs) break;
      path.cut('ice_tcp_unproved');
    }
    for (const path of this.#connections.keys()) path.checkStalled(now);
  }

  /** Ends every connection. Further ones are for the caller to refuse. */
  close(): void {
    for (const path of this.#connections.keys()) path.close();
  }

  #cutOldestUnbound(): boolean {
    for (const path of this.#unbound) {
      path.cut('ice_tcp_full');
      return true;
    }
    return false;
  }

  #boundChanged(path: IceTcpPath): void {
    const connection = this.#connections.get(path);
    if (connection === undefined) return;
    if (path.bound) {
      this.#unbound.delete(path);
    } else {
      connection.unboundSinceMs = this.#options.now();
      this.#unbound.add(path);
    }
  }

  #ended(path: IceTcpPath, ending: IceTcpEnding | null): void {
    const connection = this.#connections.get(path);
    if (connection === undefined) return;
    this.#connections.delete(path);
    this.#unbound.delete(path);
    this.#counts.remove(connection.client);
    if (ending !== null) this.#options.refused?.(ending);
  }
}

function ignore(): void {
  // `close` follows.
}
