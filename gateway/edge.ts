/**
 * The composition root: makes the parts of one edge from its configuration, starts them, and stops them in reverse. Long because
 * the order of starting is one list, which is read from its top to its end.
 */
import { randomBytes, randomInt, X509Certificate } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createSfu, type Candidate, type Logger } from '../sfu/index.ts';
import { createTurnCredentials } from '../turn/index.ts';
import { hostOf } from './addresses.ts';
import { Admin } from './admin.ts';
import { Admission } from './admission.ts';
import { TokenAuthority } from './auth.ts';
import type { Config } from './config.ts';
import { GatewayCounters } from './counters.ts';
import { openCluster } from './cluster.ts';
import type { Directory } from './directory/index.ts';
import { edgeCertificates, edgeSecret, warnOfRisks } from './edge-credentials.ts';
import { doctorRoutes } from './doctor-api.ts';
import { EdgeNews } from './edge-news.ts';
import type { HttpEngine } from './engine/index.ts';
import { IceTcp } from './ice-tcp.ts';
import { atEndOfTurn, loadLibc, type Libc } from './libc/index.ts';
import { nativeCiphers } from './native-ciphers.ts';
import { adminPort, withAdvice } from './listeners.ts';
import { localAddresses } from './local-addresses.ts';
import { Metrics } from './metrics.ts';
import { Origins } from './origins.ts';
import { Page } from './page.ts';
import { createPublicApplication } from './public-application.ts';
import { packageVersion } from './package-version.ts';
import { PublicPort } from './public-port.ts';
import { RateLimiter, type RateLimit } from './rate-limit.ts';
import { openRecordings, type Recordings } from './recording/index.ts';
import { roomsRoutes } from './rooms-api.ts';
import type { Secret } from './secret.ts';
import { sessionRoutes } from './sessions.ts';
import { Telemetry } from './telemetry/index.ts';
import { TunnelHttp } from './tunnel-http.ts';
import { TunnelWebSocket } from './tunnel-websocket.ts';
import { RelaySockets } from './turn-relay-sockets.ts';
import { TurnService } from './turn-service.ts';
import { TurnFlows } from './turn-flows.ts';
import { TurnWebSocket } from './turn-websocket.ts';
import { UdpMedia } from './udp.ts';
import { whipRoutes } from './whip-api.ts';
import {
  EmbeddedUpstream,
  FixedLocator,
  type NodeLocator,
  TrunkUpstream,
  UdpUpstream,
  type Upstream,
  type UpstreamEvents,
} from './upstream/index.ts';
import { openMediaPort, openTurnPort } from './udp-ports.ts';

export interface EdgeDeps {
  readonly log: Logger;
  /** The built page; by default the one beside this build. */
  readonly pageFolder?: string;
  /** Makes what takes the datagrams and sessions; by default the SFU of this project. */
  readonly createSfu?: typeof createSfu;
  /** System calls that Node does not offer; by default `loadLibc()`. Null: everything by Node's own means. */
  readonly libc?: Libc | null;
  readonly limits?: Partial<EdgeLimits>;
  /** In place of the one that the configuration names. */
  readonly directory?: Directory;
}

export interface EdgeLimits {
  /** `POST /v1/sessions` per source address: an office behind one address starts its day at once. */
  readonly sessions: RateLimit;
  /** `POST /v1/doctor` per source address: a test asks once for each rung, on both its runs. */
  readonly probes: RateLimit;
  /** STUN per UDP source address that has not proved itself. */
  readonly strangers: RateLimit;
  readonly maxParticipantsPerRoom: number;
  readonly sessionGraceMs: number;
  /** From a connection to the public TCP port to the first bytes that say what it is, TLS handshake included. */
  readonly openingTimeoutMs: number;
}

const defaultLimits: EdgeLimits = {
  sessions: { burst: 200, perSecond: 20 },
  probes: { burst: 48, perSecond: 0.2 },
  strangers: { burst: 400, perSecond: 200 },
  maxParticipantsPerRoom: 200,
  sessionGraceMs: 30_000,
  openingTimeoutMs: 5_000,
};

/** What a started edge is. */
export interface EdgeInfo {
  readonly engine: HttpEngine['name'];
  readonly port: number;
  readonly udpPort: number;
  /** 0: no TURN over UDP. */
  readonly turnUdpPort: number;
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
/** Of what counts its time in seconds: TURN, and connections that carry ICE. */
const tickIntervalMs = 1000;
const drainPollMs = 250;
/** Clients of a draining edge leave it within so long, each at a moment of its own. */
const maxSpreadMs = 5000;
const closeFramesMs = 500;
const turnCredentialSeconds = 86_400;
const turnRealm = 'sallyport';
/** Below this, a burst of one key frame per participant already loses packets. */
const leastReceiveBufferBytes = 1_048_576;

class EdgeProcess implements Edge {
  readonly closed: Promise<void>;
  readonly #config: Config;
  readonly #log: Logger;
  readonly #pageFolder: string;
  readonly #limits: EdgeLimits;
  readonly #createSfu: typeof createSfu;
  readonly #directory: Directory | undefined;
  readonly #libc: Libc | null;
  readonly #counters = new GatewayCounters();
  /** What `close` has to undo, in the order it was done. */
  readonly #undo: (() => Promise<void> | void)[] = [];
  #resolveClosed: () => void = () => undefined;
  #sessions: () => number = () => 0;
  /** Where there is an SFU in this process. */
  #recordings: Recordings | null = null;
  /** Tells clients to go to other edges, where there are any. */
  #sendElsewhere: (spreadMs: number) => void = () => undefined;
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
    this.#directory = deps.directory;
    this.#libc = deps.libc === undefined ? loadLibc() : deps.libc;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  async start(): Promise<EdgeInfo> {
    try {
      this.#starting ??= this.#start();
      const info = await this.#starting;
      this.#ready = this.#closing === null;
      const { engine, port, udpPort, turnUdpPort, adminPort } = info;
      const { auth, edgeId, region } = this.#config;
      const ports = { port, udpPort, turnUdpPort, adminPort };
      this.#log.info({ engine, ...ports, auth, edgeId, region, node: process.version }, 'edge started');
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
      this.#sendElsewhere(Math.min(maxSpreadMs, deadlineMs / 2));
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
    const log = this.#log;
    const secret = await edgeSecret(config, log);
    const certificates = await edgeCertificates(config, log);
    const page = await Page.load(this.#pageFolder);
    if (page.isEmpty) log.warn({}, 'the page is not built, so there is nothing at /');
    warnOfRisks(config, secret, log);

    let port = 0;
    const cluster = openCluster(config, {
      log,
      secret: config.cluster?.secret ?? secret,
      failed: (code) => {
        counters.refuse(code);
      },
      ...(this.#directory === undefined ? {} : { directory: this.#directory }),
      self: () => ({
        url: urlOf(config, port),
        load: this.#sessions(),
        version: packageVersion(),
        draining: this.#draining,
        fingerprint: new X509Certificate(certificates.set.all[0].cert).fingerprint256,
      }),
    });
    if (cluster !== null) {
      this.#undo.push(() => cluster.close());
      await cluster.view.read();
    }
    let media: Upstream | null = null;
    let turnEnds: (sessionId: string) => void = () => undefined;
    let turnLeaves: (sessionId: string) => void = () => undefined;
    let allocationsOf: (sessionId: string) => number = () => 0;
    let metrics: Metrics | null = null;
    let telemetry: Telemetry | null = null;
    // After the sessions have ended.
    this.#undo.push(() => telemetry?.close());
    const udp = new UdpMedia({
      receive: (path, datagram) => media?.receive(path, datagram),
      traffic: counters.udp,
      strangers: new RateLimiter(limits.strangers, randomInt(2 ** 31)),
      now,
      libc: this.#libc,
    });
    this.#undo.push(() => udp.close());
    const ports = await openMediaPort(config, (addresses, port) => udp.listen(addresses, port));
    const granted = udp.receiveBufferBytes;
    if (granted < leastReceiveBufferBytes) {
      log.warn({ granted }, 'the UDP receive buffer is small: raise net.core.rmem_max to 4194304 or more');
    }
    const candidates = config.publicAddresses.flatMap((address) => [
      { transport: 'udp', address, port: ports.udp } as const,
      { transport: 'tcp', address, port: ports.tcp } as const,
    ]);
    let relayTo: (addresses: readonly Candidate[]) => void = () => undefined;
    const upstream = await this.#openUpstream(
      candidates,
      cluster?.view ?? null,
      {
        rungMoved: (move, sessionId) => {
          metrics?.rungMoved(move);
          cluster?.sessions.rungMoved(sessionId, move.to);
        },
        telemetry: (event) => telemetry?.take(event),
        sessionEnded: (sessionId) => {
          turnEnds(sessionId);
          cluster?.sessions.ended(sessionId);
        },
        taken: (sessionId, node, take) => cluster?.sessions.taken(sessionId, node, take),
        left: (sessionId) => {
          turnLeaves(sessionId);
          cluster?.sessions.left(sessionId);
        },
      },
      (addresses) => {
        relayTo(addresses);
      },
      (sessionId) => allocationsOf(sessionId),
    );
    media = upstream;
    this.#undo.push(() => upstream.close());
    this.#sessions = () => sum(upstream.sessionsByRung().values());

    const turn = new TurnService(
      {
        secret: secret.reveal(),
        realm: turnRealm,
        publicAddresses: config.publicAddresses,
        sfuAddresses: upstream.sfuAddresses().filter(({ transport }) => transport === 'udp'),
        ownAddresses: localAddresses(),
        relayAllow: config.relayAllow,
      },
      {
        sfu: upstream,
        libc: this.#libc,
        log,
        now,
        wallClock: Date.now,
        sessionLives: (id) => upstream.sessionLives(id),
        peersOf: (id) => upstream.peersOf?.(id) ?? null,
      },
    );
    relayTo = (addresses) => {
      turn.addSfuAddresses(addresses.filter(({ transport }) => transport === 'udp'));
    };
    this.#undo.push(() => turn.close());
    const refused = counters.refuse.bind(counters);
    const turnFlows = new TurnFlows({ turn, refused });
    turnEnds = (sessionId) => {
      turnFlows.endSession(sessionId);
      turn.endSession(sessionId);
    };
    turnLeaves = (sessionId) => {
      turnFlows.endSession(sessionId);
    };
    allocationsOf = (sessionId) => turn.allocationsOf(sessionId);
    const turnUdpPort = await openTurnPort(config, (addresses, port) => turn.listenUdp(addresses, port));
    const iceTcp = new IceTcp({
      receive: (path, datagram) => {
        upstream.receive(path, datagram);
      },
      detach: (path) => {
        upstream.detach(path);
      },
      traffic: counters.iceTcp,
      refused: (reason) => {
        counters.refuse(reason);
      },
      now,
    });
    this.#undo.push(() => {
      iceTcp.close();
    });

    const tokens = new TokenAuthority(secret);
    const otherEdges = (): readonly string[] => cluster?.view.otherEdges().map(({ url }) => url) ?? [];
    // A page goes on at another edge when its own is gone, and is then a page of another origin.
    const origins = new Origins(config.origins, () => cluster?.view.edgeUrls() ?? []);
    const tunnel = new TunnelWebSocket({ upstream, tokens, origins, counters, turnFlows });
    const strays = cluster?.strays ?? null;
    const tunnelHttp = new TunnelHttp({ upstream, tokens, origins, counters, turnFlows, now, strays });
    this.#sendElsewhere = (spreadMs) => {
      const edges = otherEdges();
      if (edges.length === 0) return;
      tunnel.drain(edges, spreadMs);
      tunnelHttp.drain(edges, spreadMs);
    };
    const turnWebSocket = new TurnWebSocket({ turn, origins, refused });
    const admission = new Admission({
      tokens,
      auth: config.auth,
      publicHost: config.publicHost,
      port: () => port,
      turnUdpPort: () => turnUdpPort,
      turnCredentials: (sessionId) => credentialsFor(secret, sessionId),
      limiter: new RateLimiter(limits.sessions, randomInt(2 ** 31)),
      now,
      draining: () => this.#draining,
      refused,
    });
    const application = createPublicApplication({
      routes: [
        ...sessionRoutes({
          admission,
          upstream,
          tokens,
          otherEdges,
          sessionGraceMs: limits.sessionGraceMs,
        }),
        ...whipRoutes({ admission, upstream, tokens }),
        ...doctorRoutes({
          tokens,
          certificates: certificates.set,
          limiter: new RateLimiter(limits.probes, randomInt(2 ** 31)),
          addresses: config.publicAddresses,
          ports: () => ({ tcp: port, udp: ports.udp, turnUdp: turnUdpPort }),
          now,
          draining: () => this.#draining,
          refused,
        }),
        ...roomsRoutes({ upstream, tokens, refused }),
      ],
      webSockets: [tunnel, turnWebSocket],
      tunnelHttp,
      page,
      origins,
      refused,
      log,
    });
    const publicTcp = await PublicPort.create(
      {
        engine: config.engine,
        certificates: certificates.set,
        demux: { proxySenders: config.proxyFrom, openingTimeoutMs: this.#limits.openingTimeoutMs },
      },
      { application, turn, iceTcp, libc: this.#libc, log },
    );
    this.#undo.push(() => publicTcp.close());
    this.#undo.push(() => this.#endSessions(upstream, [tunnel, tunnelHttp]));

    const figures = new Metrics({
      counters,
      sfu: upstream,
      directory: cluster?.directory ?? inProcess,
      otherEdges: () => otherEdges().length,
      forwarded: () => cluster?.strays.forwarded ?? 0,
      turn,
      iceTcp,
      demux: publicTcp.demux,
      storage: this.#recordings?.storage ?? null,
    });
    metrics = figures;
    telemetry = new Telemetry({ ...config, metrics: figures.qos, log, now, wallClock: Date.now });
    this.#undo.push(() => {
      figures.close();
    });
    const admin = await this.#openAdmin(figures);
    port = await publicTcp.listen(config.hosts, ports.tcp);
    publicTcp.watchCertificates();
    this.#undo.push(() => {
      publicTcp.stopListening();
    });
    this.#repeat(tickIntervalMs, () => {
      turn.tick(now());
      iceTcp.tick(now());
    });
    if (cluster !== null) {
      const news = new EdgeNews(otherEdges);
      this.#repeat(tickIntervalMs, () => {
        tunnel.tellEdges(news, now());
        tunnelHttp.tellEdges(news, now());
      });
    }
    this.#repeat(sweepIntervalMs, () => {
      tunnel.checkStalled(now());
      tunnelHttp.sweep(now());
    });
    await cluster?.view.start();
    const { engine } = publicTcp;
    return {
      engine,
      port,
      udpPort: ports.udp,
      turnUdpPort,
      adminPort: admin,
      certificatePin: certificates.pin,
      tokens,
    };
  }

  /** The SFU of this process, a trunk to one elsewhere, or the SFUs of others. */
  async #openUpstream(
    candidates: readonly Candidate[],
    view: NodeLocator | null,
    events: UpstreamEvents,
    nodeReached: (candidates: readonly Candidate[]) => void,
    allocationsOf: (sessionId: string) => number,
  ): Promise<Upstream> {
    const { edgeId, upstream, cluster, relayAllow } = this.#config;
    const log = this.#log;
    if (upstream.kind === 'udp') {
      const relays = new RelaySockets(this.#libc);
      const others = new UdpUpstream(
        { node: edgeId, allow: relayAllow, ownAddresses: localAddresses() },
        { now, allocationsOf, events, createRelaySocket: (options) => relays.open(options) },
      );
      this.#repeat(tickIntervalMs, () => {
        others.tick(now());
      });
      this.#undo.push(() => relays.close());
      return others;
    }
    const locator = upstream.kind === 'trunk' ? new FixedLocator(upstream.host, upstream.port) : view;
    if (upstream.kind !== 'embedded' && cluster !== null && locator !== null) {
      return new TrunkUpstream(
        { edgeId, credentials: cluster, candidates },
        { locator, events, log, now, nodeReached },
      );
    }
    const { sessionGraceMs, maxParticipantsPerRoom } = this.#limits;
    const recordings = await openRecordings(this.#config, log);
    this.#recordings = recordings;
    // After the SFU, which has to end what it records.
    this.#undo.push(() => recordings.close());
    const sfu = this.#createSfu(
      { nodeId: edgeId, candidates, sessionGraceMs, maxParticipantsPerRoom },
      {
        now,
        random: randomBytes,
        log,
        endOfTurn: (run) => {
          atEndOfTurn(this.#libc, run);
        },
        nativeCiphers: nativeCiphers(this.#libc, log),
        recording: recordings.deps,
        onRung: (move, sessionId) => {
          events.rungMoved(move, sessionId);
        },
        onTelemetry: (event) => events.telemetry?.(event),
        onSessionEnd: (sessionId) => {
          events.sessionEnded(sessionId);
        },
        onTaken: (sessionId, _, take) => {
          events.taken(sessionId, edgeId, take);
        },
      },
    );
    await sfu.start();
    return new EmbeddedUpstream(sfu, edgeId, candidates);
  }

  /** Until `close`. */
  #repeat(intervalMs: number, act: () => void): void {
    const timer = setInterval(act, intervalMs).unref();
    this.#undo.push(() => {
      clearInterval(timer);
    });
  }

  async #openAdmin(metrics: Metrics): Promise<number> {
    const { adminHost, adminPort: port } = this.#config;
    const admin = new Admin({
      metrics,
      ready: () => this.#ready && !this.#draining,
      drain: () => {
        void this.drain(1000 * this.#config.drainSeconds);
      },
      log: this.#log,
    });
    this.#undo.push(() => admin.close());
    return withAdvice(adminPort, () => admin.listen(adminHost, port));
  }

  /** Lets the close frames leave before the connections are cut. */
  async #endSessions(upstream: Upstream, tunnels: readonly { readonly openTunnels: number }[]): Promise<void> {
    await upstream.close();
    const deadline = performance.now() + closeFramesMs;
    while (tunnels.some(({ openTunnels }) => openTunnels > 0) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** Where there is no other process, there is nobody to look for. */
const inProcess = { up: true };

/** Where clients reach this edge: by the name that its certificate has, if it was given one. */
function urlOf({ publicHost, publicAddresses }: Config, port: number): string {
  if (publicHost !== null) return `https://${publicHost.host}:${String(publicHost.port ?? port)}`;
  return `https://${hostOf(publicAddresses[0] ?? '127.0.0.1')}:${String(port)}`;
}

function now(): number {
  return performance.now();
}

function credentialsFor(secret: Secret, sessionId: string): { readonly username: string; readonly credential: string } {
  return createTurnCredentials(secret.reveal(), sessionId, Date.now() / 1000 + turnCredentialSeconds);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
