/** An SFU node: the SFU with a UDP port of its own, and no edge. Edges bring it paths and sessions over trunks. */
import { randomBytes, randomInt } from 'node:crypto';
import { createSfu, type Candidate, type Logger } from '../sfu/index.ts';
import type { Path } from '../tunnel-protocol/index.ts';
import { isWildcard } from './addresses.ts';
import { Admin } from './admin.ts';
import type { Config } from './config.ts';
import { newTraffic, type Traffic } from './counters.ts';
import { atEndOfTurn, loadLibc, type Libc } from './libc/index.ts';
import { nativeCiphers } from './native-ciphers.ts';
import { adminPort, mediaPort, trunkPort, withAdvice } from './listeners.ts';
import { NodeLeases, RedisDirectory, type Directory } from './directory/index.ts';
import { packageVersion } from './package-version.ts';
import { addressesForUdp, localAddresses } from './local-addresses.ts';
import { NodeMetrics } from './node-metrics.ts';
import { openRecordings } from './recording/index.ts';
import { RateLimiter } from './rate-limit.ts';
import { makeCertificate } from './tls-certificate.ts';
import { TrunkServer } from './trunk/index.ts';
import { UdpMedia } from './udp.ts';
import { ufragPrefixOf } from './upstream/index.ts';

export interface SfuNodeDeps {
  readonly log: Logger;
  readonly createSfu?: typeof createSfu;
  /** By default `loadLibc()`. Null: everything by Node's own means. */
  readonly libc?: Libc | null;
  readonly limits?: Partial<SfuNodeLimits>;
  /** In place of the one that the configuration names. */
  readonly directory?: Directory;
}

export interface SfuNodeLimits {
  readonly maxParticipantsPerRoom: number;
  readonly sessionGraceMs: number;
}

export interface SfuNodeInfo {
  readonly nodeId: string;
  readonly trunkPort: number;
  /** 0: clients reach this node by edges alone. */
  readonly udpPort: number;
  readonly adminPort: number;
}

export interface SfuNode {
  /** Rejects with StartError; nothing is left open then. */
  start(): Promise<SfuNodeInfo>;
  /** Takes no new rooms, and closes when no session is left, or after the deadline. */
  drain(deadlineMs: number): Promise<void>;
  /** Ends every session, then stops everything. Idempotent. */
  close(): Promise<void>;
  readonly closed: Promise<void>;
}

const defaultLimits: SfuNodeLimits = { maxParticipantsPerRoom: 200, sessionGraceMs: 30_000 };
const strangers = { burst: 400, perSecond: 200 };
const drainPollMs = 250;
/** Close frames have to get over the trunk and to the clients. */
const closeFramesMs = 300;

export function createSfuNode(config: Config, deps: SfuNodeDeps): SfuNode {
  return new NodeProcess(config, deps);
}

class NodeProcess implements SfuNode {
  readonly closed: Promise<void>;
  readonly #config: Config;
  readonly #deps: SfuNodeDeps;
  readonly #log: Logger;
  readonly #undo: (() => Promise<void> | void)[] = [];
  #resolveClosed: () => void = () => undefined;
  #sessions: () => number = () => 0;
  #ready = false;
  #draining = false;
  #closing: Promise<void> | null = null;

  constructor(config: Config, deps: SfuNodeDeps) {
    this.#config = config;
    this.#deps = deps;
    this.#log = deps.log;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  async start(): Promise<SfuNodeInfo> {
    try {
      const info = await this.#start();
      this.#ready = this.#closing === null;
      this.#log.info({ ...info, region: this.#config.region, node: process.version }, 'sfu node started');
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
      this.#log.info({ sessions: this.#sessions(), deadlineMs }, 'draining: no new rooms');
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
    for (const undo of this.#undo.splice(0).reverse()) {
      try {
        await undo();
      } catch (error) {
        this.#log.error({ err: error }, 'a part of the SFU node did not stop cleanly');
      }
    }
    this.#log.info({}, 'sfu node stopped');
    this.#resolveClosed();
  }

  async #start(): Promise<SfuNodeInfo> {
    const { edgeId: nodeId, trunk, cluster, hosts, udpPort: wantedUdp, publicAddresses, adminHost } = this.#config;
    if (trunk === null || cluster === null) throw new Error('an SFU node needs a trunk port and a cluster secret');
    const limits = { ...defaultLimits, ...this.#deps.limits };
    const libc = this.#deps.libc === undefined ? loadLibc() : this.#deps.libc;
    const traffic: Traffic = newTraffic();
    let receive: (path: Path, datagram: Uint8Array) => void = () => undefined;
    const udp = new UdpMedia({
      receive: (path, datagram) => {
        receive(path, datagram);
      },
      traffic,
      strangers: new RateLimiter(strangers, randomInt(2 ** 31)),
      now,
      libc,
    });
    this.#undo.push(() => udp.close());
    const addresses = addressesForUdp(hosts, localAddresses());
    const udpPort = await withAdvice(mediaPort, () => udp.listen(addresses, wantedUdp));
    const candidates = publicAddresses.map((address): Candidate => ({ transport: 'udp', address, port: udpPort }));
    const recordings = await openRecordings(this.#config, this.#log);
    this.#undo.push(() => recordings.close());
    let server: TrunkServer | null = null;
    let leases: NodeLeases | null = null;
    const sfu = (this.#deps.createSfu ?? createSfu)(
      { nodeId, candidates, ufragPrefix: ufragPrefixOf(nodeId), ...limits },
      {
        now,
        random: randomBytes,
        log: this.#log,
        endOfTurn: (run) => {
          atEndOfTurn(libc, run);
        },
        nativeCiphers: nativeCiphers(libc, this.#log),
        recording: recordings.deps,
        onRung: (move, session) => server?.rungMoved(move, session),
        onSessionEnd: (session) => server?.sessionEnded(session),
        onTaken: (session, path, take) => server?.taken(session, path, take),
      },
    );
    await sfu.start();
    receive = (path, datagram) => {
      sfu.receive(path, datagram);
    };
    this.#sessions = () => [...sfu.sessionsByRung().values()].reduce((sum, count) => sum + count, 0);
    const own = await makeCertificate({ dns: [nodeId.toLowerCase()], ip: [] }, Date.now());
    const trunks = new TrunkServer(
      { nodeId, credentials: cluster, own, candidates },
      {
        sfu,
        log: this.#log,
        now,
        admit: (room) => leases?.admit(room) ?? Promise.resolve(this.#draining ? 'draining' : 'ok'),
      },
    );
    server = trunks;
    this.#undo.push(async () => {
      await sfu.close();
      if (trunks.flows > 0) await new Promise((resolve) => setTimeout(resolve, closeFramesMs));
      await trunks.close();
    });
    const metrics = new NodeMetrics({ sfu, trunks, udp: traffic, storage: recordings.storage });
    this.#undo.push(() => {
      metrics.close();
    });
    const admin = new Admin({
      metrics,
      ready: () => this.#ready && !this.#draining,
      drain: () => {
        void this.drain(1000 * this.#config.drainSeconds);
      },
      log: this.#log,
    });
    this.#undo.push(() => admin.close());
    const openAdminPort = await withAdvice(adminPort, () => admin.listen(adminHost, this.#config.adminPort));
    const openTrunkPort = await withAdvice(trunkPort, () => trunks.listen(trunk.host, trunk.port));
    const { redisUrls, redisCa, region } = this.#config;
    const directory =
      this.#deps.directory ??
      (redisUrls === null ? null : new RedisDirectory({ urls: redisUrls, ca: redisCa ?? undefined, log: this.#log }));
    if (directory !== null) {
      const instance = randomBytes(8).toString('hex');
      const host = isWildcard(trunk.host) ? (publicAddresses[0] ?? '127.0.0.1') : trunk.host;
      const held = new NodeLeases({
        directory,
        node: () => ({
          id: nodeId,
          instance,
          host,
          port: openTrunkPort,
          region,
          load: this.#sessions(),
          version: packageVersion(),
          draining: this.#draining,
        }),
        rooms: () => sfu.rooms().map(({ room }) => room),
        lost: (room) => {
          this.#log.warn({ sessions: sfu.leaveRoom(room) }, 'another node held a room of this one first');
        },
        wallClock: Date.now,
        random: Math.random,
      });
      leases = held;
      this.#undo.push(async () => {
        await held.close();
        await directory.close();
      });
      await held.start();
    }
    return { nodeId, trunkPort: openTrunkPort, udpPort, adminPort: openAdminPort };
  }
}

function now(): number {
  return performance.now();
}
