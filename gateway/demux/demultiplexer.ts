/**
 * One TCP port for everything: looks at the first bytes of a connection, and gives the connection to who serves that.
 * The ways bytes are looked at, and what each costs, are at {@link DemuxConfig.method}.
 */
import type { Server } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { libcAbsence } from '../libc/index.ts';
import { Dispatcher } from './dispatcher.ts';
import { listenTcp } from './listener.ts';
import { NetworkSet } from './networks.ts';
import { Openings } from './openings.ts';
import { PeekIntake } from './peek-intake.ts';
import { ReadIntake } from './read-intake.ts';
import { Splicer } from './splice.ts';
import {
  newDemuxCounters,
  type DemuxConfig,
  type DemuxCounters,
  type DemuxDeps,
  type IntakeMethod,
  type NativeCertificates,
} from './types.ts';

export interface Demultiplexer {
  readonly counters: DemuxCounters;
  /** How first bytes are looked at, and why not better. */
  readonly method: IntakeMethod;
  readonly reason: string | null;
  /** Connections that have not said yet what they are. */
  readonly openings: number;
  /** Connections that live in Node: all but uWebSockets.js's. */
  readonly nodeConnections: number;
  /** Connections that uWebSockets.js was given as descriptors; one that ended may be counted for a few seconds more. */
  readonly adoptedConnections: number;
  /** May be called once per address. Returns the port; 0 lets the system choose. Rejects with `ListenError`. */
  listen(port: number, host: string): Promise<number>;
  /** Takes no more connections; those open go on. Idempotent. */
  stopListening(): void;
  /** For TLS that is done here; new handshakes get it. Throws, and changes nothing, when it is not usable. */
  setCertificates(options: SecureContextOptions, certificates: NativeCertificates | null): void;
  /** The client of a connection that uWebSockets.js got by splicing; null for any other address. */
  peerBehind(address: string): TransportAddress | null;
  /**
   * Ends listening, openings, and all connections that live in Node. To be called when uWebSockets.js has closed its
   * own, so that what it said at last gets through where it is copied. Idempotent.
   */
  close(): Promise<void>;
}

/** Throws for an address block that is none, for TLS options that are not usable, and for `peek` without libc. */
export function createDemultiplexer(config: DemuxConfig, deps: DemuxDeps): Demultiplexer {
  return new TcpDemultiplexer(config, deps);
}

class TcpDemultiplexer implements Demultiplexer {
  readonly counters = newDemuxCounters();
  readonly #config: DemuxConfig;
  readonly #deps: DemuxDeps;
  readonly #openings: Openings;
  readonly #splicer = new Splicer();
  readonly #dispatcher: Dispatcher;
  readonly #peeking: PeekIntake | null;
  readonly #reading: ReadIntake;
  readonly #servers: Server[] = [];
  method: IntakeMethod;
  reason: string | null = null;

  constructor(config: DemuxConfig, deps: DemuxDeps) {
    const { libc, handlers } = deps;
    this.#config = config;
    this.#deps = deps;
    this.#openings = new Openings(config);
    this.#dispatcher = new Dispatcher(config, deps, this.#openings, this.#splicer, this.counters);
    if (config.method !== 'auto') this.method = config.method;
    else this.method = libc === null ? 'read' : 'peek';
    if (libc === null) this.reason = libcAbsence() ?? 'libc was not given';
    if (libc === null && this.method !== 'read') throw new Error(`the method ${this.method} needs libc`);
    const intake = {
      openings: this.#openings,
      dispatcher: this.#dispatcher,
      counters: this.counters,
      proxySenders: new NetworkSet(config.proxySenders),
    };
    this.#peeking = libc === null ? null : new PeekIntake(libc, intake);
    this.#reading = new ReadIntake(intake);
    enforceTimeouts(handlers.http1);
    if (handlers.h2 !== null) enforceTimeouts(handlers.h2);
  }

  get openings(): number {
    return this.#openings.size;
  }

  get nodeConnections(): number {
    return this.#dispatcher.socketCount;
  }

  get adoptedConnections(): number {
    return this.#dispatcher.adoptedCount;
  }

  async listen(port: number, host: string): Promise<number> {
    const listener = await listenTcp(host, port, {
      method: this.method,
      libc: this.#deps.libc,
      notSentLowWaterBytes: this.#config.notSentLowWaterBytes,
      accept: (candidate, remote) => {
        this.counters.accepted++;
        if (candidate.fd < 0 || this.#peeking === null) this.#reading.accept(candidate, remote);
        else this.#peeking.accept(candidate, remote);
      },
      failed: () => {
        this.counters.refused.reset++;
      },
    });
    this.#servers.push(listener.server);
    if (listener.method !== this.method) this.reason = 'the insides of this version of Node are not as expected';
    this.method = listener.method;
    return listener.port;
  }

  stopListening(): void {
    for (const server of this.#servers) if (server.listening) server.close();
  }

  setCertificates(options: SecureContextOptions, certificates: NativeCertificates | null): void {
    this.#dispatcher.setCertificates(options, certificates);
  }

  peerBehind(address: string): TransportAddress | null {
    return this.#splicer.peerBehind(address);
  }

  async close(): Promise<void> {
    const closed = this.#servers.splice(0).map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => {
            resolve();
          });
        }),
    );
    this.#openings.close();
    await this.#splicer.close();
    this.#dispatcher.close();
    await Promise.all(closed);
  }
}

const enforced = new WeakSet<Server>();

/**
 * An HTTP server begins to watch its headersTimeout and requestTimeout when it listens, and this one never does.
 * `server.close()` ends the watch.
 */
function enforceTimeouts(server: Server): void {
  if (!('headersTimeout' in server) || server.listening || enforced.has(server)) return;
  enforced.add(server);
  server.emit('listening');
}
