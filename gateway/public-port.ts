/** The one public TCP port: what is told apart there, who serves it, and the certificates of all who do TLS. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { TransportAddress } from '../tunnel-protocol/index.ts';
import { watchCertificate } from './certificate-watch.ts';
import { CertificateSet } from './certificates.ts';
import { createDemultiplexer, defaultDemuxConfig, type DemuxConfig, type Demultiplexer } from './demux/index.ts';
import { createEngine, type HttpApplication, type HttpEngine } from './engine/index.ts';
import type { Libc, TlsConnection } from './libc/index.ts';
import { listenOnAll, publicPort, withAdvice } from './listeners.ts';

export interface PublicPortConfig {
  readonly engine: 'auto' | 'uws' | 'node';
  readonly certificates: CertificateSet;
  readonly demux?: Partial<DemuxConfig>;
}

export interface PublicPortDeps {
  readonly application: HttpApplication;
  /** All serve a connection of which no byte has been read, TLS done where there is any, errors included. */
  readonly turn: {
    serveTcp(socket: Socket, remote: TransportAddress): void;
    serveTls(socket: TLSSocket, remote: TransportAddress): void;
    /** `seen` is what has been read. */
    serveNativeTls(connection: TlsConnection, remote: TransportAddress, seen: Uint8Array): void;
  };
  readonly iceTcp: { serve(socket: Socket, remote: TransportAddress): void };
  readonly libc: Libc | null;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
}

const certificateWatchMs = 30_000;

export class PublicPort {
  readonly #deps: PublicPortDeps;
  readonly #engine: HttpEngine;
  readonly #demux: Demultiplexer;
  #certificates: CertificateSet;
  #stopWatching: (() => void) | null = null;

  private constructor(config: PublicPortConfig, deps: PublicPortDeps, engine: HttpEngine) {
    this.#deps = deps;
    this.#engine = engine;
    this.#certificates = config.certificates;
    const { turn, iceTcp, libc } = deps;
    this.#demux = createDemultiplexer(
      { ...defaultDemuxConfig, ...config.demux },
      {
        libc,
        handlers: {
          uws: engine.uws,
          http1: engine.http1,
          h2: engine.h2,
          turnTcp: (socket, remote) => {
            turn.serveTcp(socket, remote);
          },
          turnTls: (socket, remote) => {
            turn.serveTls(socket, remote);
          },
          turnNativeTls: (connection, remote, seen) => {
            turn.serveNativeTls(connection, remote, seen);
          },
          iceTcp: (socket, remote) => {
            iceTcp.serve(socket, remote);
          },
        },
        tls: {
          ...this.#certificates.secureContextOptions(),
          // Of the set that is in use when the name is asked for.
          SNICallback: (serverName, done) => {
            done(null, this.#certificates.contextFor(serverName) ?? undefined);
          },
        },
        certificates: this.#certificates,
      },
    );
  }

  /** Opens nothing. Rejects when the engine or the certificates are not usable. */
  static async create(config: PublicPortConfig, deps: PublicPortDeps): Promise<PublicPort> {
    const { libc, log } = deps;
    // Made last, because its handlers are the engine's; asked only once a connection is there.
    let port: PublicPort | null = null;
    const engine = await createEngine(config.engine, config.certificates, deps.application, {
      log,
      splice: libc === null,
      peerBehind: (address) => port?.demux.peerBehind(address) ?? null,
    });
    try {
      port = new PublicPort(config, deps, engine);
      return port;
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  get engine(): HttpEngine['name'] {
    return this.#engine.name;
  }

  /** For its counters, and for how it looks at first bytes. */
  get demux(): Demultiplexer {
    return this.#demux;
  }

  /** Listens on each host with the same port; 0 lets the system choose. Rejects with StartError. */
  async listen(hosts: readonly string[], port: number): Promise<number> {
    const bound = await withAdvice(publicPort, () =>
      listenOnAll(hosts, port, (address, wanted) => this.#demux.listen(wanted, address)),
    );
    const { method, reason } = this.#demux;
    if (reason !== null) {
      this.#deps.log.warn(
        { method, reason },
        this.#engine.uws === null
          ? 'connections on the public port are looked at in a slower way'
          : 'connections on the public port are looked at in a slower way, and those of uWebSockets.js may be copied to it, at up to twice the CPU per packet',
      );
    }
    return bound;
  }

  /** Takes over the files of the certificates when they change, for new connections. */
  watchCertificates(): void {
    const files = this.#certificates.all.map((certificate) => certificate.files);
    this.#stopWatching ??= watchCertificate(files, certificateWatchMs, () => this.reloadCertificates());
  }

  /** Says in the log what came of it. When a file is not usable, nothing changes. */
  async reloadCertificates(): Promise<void> {
    const { log } = this.#deps;
    try {
      const fresh = await CertificateSet.load(this.#certificates.all.map((certificate) => certificate.files));
      this.#engine.reloadCertificates(fresh);
      this.#demux.setCertificates(fresh.secureContextOptions(), fresh);
      this.#certificates = fresh;
      log.info({}, 'the certificates have changed and are used for new connections');
      for (const warning of fresh.warnings) log.warn({}, warning);
    } catch (error) {
      log.error({ err: error }, 'the changed certificates cannot be used; those before stay');
    }
  }

  /** Takes no more connections; those open go on. Idempotent. */
  stopListening(): void {
    this.#stopWatching?.();
    this.#stopWatching = null;
    this.#demux.stopListening();
  }

  /** Ends every connection. Idempotent. */
  async close(): Promise<void> {
    this.stopListening();
    this.#engine.close();
    await this.#demux.close();
  }
}
