/** The composition root: makes the parts of one edge from its configuration, starts them, and stops them in reverse. */
import { randomBytes, randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createSfu, type Logger, type Sfu } from '../sfu/index.ts';
import { isLoopback } from './addresses.ts';
import { Admin } from './admin.ts';
import { recommendedSecretBytes, TokenAuthority } from './auth.ts';
import { watchCertificate } from './certificate-watch.ts';
import type { Config } from './config.ts';
import { GatewayCounters } from './counters.ts';
import { InMemoryDirectory } from './directory.ts';
import { createEngine, ListenError, probePort, type CertificateFiles, type HttpEngine } from './engine/index.ts';
import { adminPort, listenOnAll, mediaPort, publicPort, withAdvice } from './listeners.ts';
import { addressesForUdp, localAddresses } from './local-addresses.ts';
import { Metrics } from './metrics.ts';
import { Origins } from './origins.ts';
import { Page } from './page.ts';
import { createPublicApplication } from './public-application.ts';
import { RateLimiter, type RateLimit } from './rate-limit.ts';
import { roomsRoutes } from './rooms-api.ts';
import type { Secret } from './secret.ts';
import { sessionRoutes } from './sessions.ts';
import { readOrMakeStoredSecret } from './stored-secret.ts';
import { selfSignedCertificate } from './tls-certificate.ts';
import { keyPairFault } from './tls-files.ts';
import { TunnelWebSocket } from './tunnel-websocket.ts';
import { UdpMedia } from './udp.ts';

export interface EdgeDeps {
  readonly log: Logger;
  /** The built page; by default the one beside this build. */
  readonly pageFolder?: string;
  /** Makes what takes the datagrams and sessions; by default the SFU of this project. */
  readonly createSfu?: typeof createSfu;
  readonly limits?: Partial<EdgeLimits>;
}

export interface EdgeLimits {
  /** `POST /v1/sessions` per source address: an office behind one address starts its day at once. */
  readonly sessions: RateLimit;
  /** STUN per UDP source address that has not proved itself. */
  readonly strangers: RateLimit;
  readonly maxParticipantsPerRoom: number;
  readonly sessionGraceMs: number;
}

const defaultLimits: EdgeLimits = {
  sessions: { burst: 200, perSecond: 20 },
  strangers: { burst: 400, perSecond: 200 },
  maxParticipantsPerRoom: 200,
  sessionGraceMs: 30_000,
};

/** What a started edge is. */
export interface EdgeInfo {
  readonly engine: HttpEngine['name'];
  readonly port: number;
  readonly udpPort: number;
  readonly adminPort: number;
  /** SPKI pin of the certificate where it is self-signed, else null. */
  readonly certificatePin: string | null;
  readonly tokens: TokenAuthority;
}

export interface Edge {
  /** Rejects with StartError, whose message is for people; nothing is left open then. */
  start(): Promise<EdgeInfo>;
  /** Takes no new sessions, and closes when none is left, or after the deadline. Resolves when closed. */
  drain(deadlineMs: number): Promise<void>;
  /** Ends every session, then stops everything. Idempotent. */
  close(): Promise<void>;
  /** Resolves when the edge has closed, whoever asked for it. */
  readonly closed: Promise<void>;
}

export function createEdge(config: Config, deps: EdgeDeps): Edge {
  return new EdgeProcess(config, deps);
}

const sweepIntervalMs = 5000;
const certificateWatchMs = 30_000;
const drainPollMs = 250;
const defaultDrainMs = 600_000;
const closeFramesMs = 500;
const portAttempts = 10;
/** Below this, a burst of one key frame per participant already loses packets. */
const leastReceiveBufferBytes = 1_048_576;

class EdgeProcess implements Edge {
  readonly closed: Promise<void>;
  readonly #config: Config;
  readonly #log: Logger;
  readonly #pageFolder: string;
  readonly #limits: EdgeLimits;
  readonly #createSfu: typeof createSfu;
  readonly #counters = new GatewayCounters();
  /** What `close` has to undo, in the order it was done. */
  readonly #undo: (() => Promise<void> | void)[] = [];
  #resolveClosed: () => void = () => undefined;
  #sessions: () => number = () => 0;
  #ready = false;
  #draining = false;
  #starting: Promise<EdgeInfo> | null = null;
  #closing: Promise<void> | null = null;

  constructor(config: Config, deps: EdgeDeps) {
    this.#config = config;
    this.#log = deps.log;
    this.#pageFolder = deps.pageFolder ?? fileURLToPath(new URL('../client/page/', import.meta.url));
    this.#limits = { ...defaultLimits, ...deps.limits };
    this.#createSfu = deps.createSfu ?? createSfu;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  async start(): Promise<EdgeInfo> {
    try {
      this.#starting ??= this.#start();
      const info = await this.#starting;
      this.#ready = this.#closing === null;
      const { engine, port, udpPort, adminPort } = info;
      const { auth, edgeId, region } = this.#config;
      this.#log.info({ engine, port, udpPort, adminPort, auth, edgeId, region, node: process.version }, 'edge started');
      return info;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async drain(deadlineMs: number): Promise<void> {
    if (!this.#draining) {
      this.#draining = true;
      const deadline = performance.now() + deadlineMs;
      this.#log.info({ sessions: this.#sessions(), deadlineMs }, 'draining: no new sessions');
      while (this.#closing === null && this.#sessions() > 0 && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, drainPollMs));
      }
      await this.close();
    }
    await this.closed;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ready = false;
    this.#draining = true;
    await this.#starting?.catch(() => undefined);
    for (const undo of this.#undo.splice(0).reverse()) {
      try {
        await undo();
      } catch (error) {
        this.#log.error({ err: error }, 'a part of the edge did not stop cleanly');
      }
    }
    this.#log.info({}, 'edge stopped');
    this.#resolveClosed();
  }

  async #start(): Promise<EdgeInfo> {
    const config = this.#config;
    const limits = this.#limits;
    const counters = this.#counters;
    const now = (): number => performance.now();
    const secret = await this.#secret();
    const certificate = await this.#certificate();
    const page = await Page.load(this.#pageFolder);
    if (page.isEmpty) this.#log.warn({}, 'the page is not built, so there is nothing at /');
    this.#warn(secret);

    const directory = new InMemoryDirectory();
    this.#undo.push(() => directory.close());
    let media: Sfu | null = null;
    let metrics: Metrics | null = null;
    const udp = new UdpMedia({
      receive: (path, datagram) => media?.receive(path, datagram),
      traffic: counters.udp,
      strangers: new RateLimiter(limits.strangers, randomInt(2 ** 31)),
      now,
    });
    this.#undo.push(() => udp.close());
    const ports = await this.#openUdp(udp);
    const sfu = this.#createSfu(
      {
        nodeId: config.edgeId,
        candidates: config.publicAddresses.map((address) => ({ transport: 'udp', address, port: ports.udp })),
        sessionGraceMs: limits.sessionGraceMs,
        maxParticipantsPerRoom: limits.maxParticipantsPerRoom,
      },
      { now, random: randomBytes, log: this.#log, onRung: (move) => metrics?.rungMoved(move) },
    );
    media = sfu;
    this.#undo.push(() => sfu.close());
    await sfu.start();
    this.#sessions = () => sum(sfu.sessionsByRung().values());

    const tokens = new TokenAuthority(secret);
    const origins = new Origins(config.origins);
    const tunnel = new TunnelWebSocket({ sfu, tokens, origins, node: config.edgeId, counters });
    const refused = counters.refuse.bind(counters);
    let port = 0;
    const application = createPublicApplication({
      routes: [
        ...sessionRoutes({
          sfu,
          tokens,
          directory,
          auth: config.auth,
          node: config.edgeId,
          sessionGraceMs: limits.sessionGraceMs,
          publicHost: config.publicHost,
          port: () => port,
          limiter: new RateLimiter(limits.sessions, randomInt(2 ** 31)),
          now,
          draining: () => this.#draining,
          refused,
        }),
        ...roomsRoutes({ sfu, tokens, refused }),
      ],
      webSockets: [tunnel],
      page,
      origins,
      refused,
      log: this.#log,
    });
    const engine = await createEngine(config.engine, certificate.files, application, { log: this.#log });
    this.#undo.push(() => engine.close());
    this.#undo.push(() => this.#endSessions(sfu, tunnel));

    const figures = new Metrics({ counters, sfu, directory });
    metrics = figures;
    this.#undo.push(() => {
      figures.close();
    });
    const admin = await this.#openAdmin(figures);
    port = await withAdvice(publicPort, () =>
      listenOnAll(config.hosts, ports.tcp, (address, wanted) => engine.listen(address, wanted)),
    );
    this.#undo.push(() => {
      engine.stopListening();
    });
    this.#undo.push(this.#watch(certificate.files, engine));
    const sweep = setInterval(() => {
      tunnel.checkStalled(now());
      directory.sweep((sessionId) => sfu.hasSession(sessionId));
    }, sweepIntervalMs).unref();
    this.#undo.push(() => {
      clearInterval(sweep);
    });
    return { engine: engine.name, port, udpPort: ports.udp, adminPort: admin, certificatePin: certificate.pin, tokens };
  }

  async #secret(): Promise<Secret> {
    const { secret, dataDir } = this.#config;
    if (secret !== null) return secret;
    this.#log.warn({}, 'SALLYPORT_SECRET is not set: tokens are signed by a random secret, kept in the data folder');
    return readOrMakeStoredSecret(dataDir);
  }

  async #certificate(): Promise<{ readonly files: CertificateFiles; readonly pin: string | null }> {
    const { tls, dataDir, publicHost, publicAddresses } = this.#config;
    if (tls !== null) return { files: tls, pin: null };
    const named = publicHost === null || /^[[\d]/.test(publicHost.host) ? [] : [publicHost.host];
    const own = hostname().toLowerCase();
    const made = await selfSignedCertificate(
      dataDir,
      { dns: ['localhost', ...named], ip: ['127.0.0.1', '::1'] },
      { dns: /^[a-z0-9.-]+$/.test(own) ? [own] : [], ip: publicAddresses },
      Date.now(),
    );
    this.#log.warn(
      { pin: made.pin, made: made.made },
      'the certificate is self-signed: browsers will warn, and clients need its pin or a flag; set SALLYPORT_TLS_CERT and SALLYPORT_TLS_KEY',
    );
    return { files: made, pin: made.pin };
  }

  #warn(secret: Secret): void {
    const { auth, hosts, adminHost, origins } = this.#config;
    const log = this.#log;
    if (auth === 'open') {
      const reach = hosts.every(isLoopback) ? 'this machine alone can reach it' : 'ANYBODY who can reach it';
      log.warn({ auth }, `OPEN MODE: joining any room needs no token, for ${reach}; set SALLYPORT_AUTH=token`);
    }
    if (Buffer.byteLength(secret.reveal()) < recommendedSecretBytes) {
      log.warn({}, `SALLYPORT_SECRET is shorter than ${String(recommendedSecretBytes)} bytes and may be guessed`);
    }
    if (!isLoopback(adminHost)) {
      log.warn({}, 'the admin port has no authentication and is bound beyond this machine: keep others away from it');
    }
    if (origins.includes('*')) log.warn({}, 'SALLYPORT_ORIGINS is *: pages of any web origin may join calls');
  }

  /** Opens the UDP port, with the number of the TCP port unless it has one of its own. */
  async #openUdp(udp: UdpMedia): Promise<{ readonly udp: number; readonly tcp: number }> {
    const { hosts, port, udpPort } = this.#config;
    const addresses = addressesForUdp(hosts, localAddresses());
    for (let attempt = 1; ; attempt++) {
      // Where the system chooses, one that is free for both has to be found.
      const tcp = port === 0 ? await withAdvice(publicPort, () => listenOnAll(hosts, 0, probePort)) : port;
      const wanted = port === 0 && udpPort === 0 ? tcp : udpPort;
      try {
        const bound = await withAdvice(mediaPort, () => udp.listen(addresses, wanted));
        const granted = udp.receiveBufferBytes;
        if (granted < leastReceiveBufferBytes) {
          this.#log.warn({ granted }, 'the UDP receive buffer is small: raise net.core.rmem_max to 4194304 or more');
        }
        return { udp: bound, tcp };
      } catch (error) {
        const taken = error instanceof Error && error.cause instanceof ListenError && error.cause.code === 'EADDRINUSE';
        if (!taken || port !== 0 || udpPort !== 0 || attempt === portAttempts) throw error;
      }
    }
  }

  async #openAdmin(metrics: Metrics): Promise<number> {
    const { adminHost, adminPort: port } = this.#config;
    const admin = new Admin({
      metrics,
      ready: () => this.#ready && !this.#draining,
      drain: () => {
        void this.drain(defaultDrainMs);
      },
      log: this.#log,
    });
    this.#undo.push(() => admin.close());
    return withAdvice(adminPort, () => admin.listen(adminHost, port));
  }

  /** Lets the close frames leave before the connections are cut. */
  async #endSessions(sfu: Sfu, tunnel: TunnelWebSocket): Promise<void> {
    await sfu.close();
    const deadline = performance.now() + closeFramesMs;
    while (tunnel.openTunnels > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  #watch(files: CertificateFiles, engine: HttpEngine): () => void {
    return watchCertificate(files, certificateWatchMs, async () => {
      try {
        const [cert, key] = await Promise.all([readFile(files.certFile, 'utf8'), readFile(files.keyFile, 'utf8')]);
        const fault = keyPairFault(cert, key);
        if (fault !== null) throw new Error(fault.sentence);
        await engine.reloadCertificate();
        this.#log.info({}, 'the certificate has changed and is used for new connections');
      } catch (error) {
        this.#log.error({ err: error }, 'the changed certificate cannot be used; the one before stays');
      }
    });
  }
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
