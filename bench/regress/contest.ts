/** Two builds of the project, measured in turn by the same load. */
import { summarize } from '../harness/statistics.ts';
import { startWorker, type WorkerProcess } from '../harness/worker-process.ts';
import { Crowd } from '../tunnel/crowd.ts';
import { relayedPacketUs, type LoadCredentials, type TurnServerPorts } from '../turn/index.ts';

/** A server of one build, under load. */
export interface Contender {
  /** CPU µs of the server per packet. */
  measure(): Promise<number>;
  close(): Promise<void>;
}

export interface Discipline {
  readonly name: string;
  /** @param build the URL of a `dist/` folder, with a slash at the end */
  readonly open: (build: URL) => Promise<Contender>;
}

export interface Verdict {
  readonly name: string;
  /** CPU µs per packet, medians. */
  readonly before: number;
  readonly after: number;
  /** Median of the pairs' ratios, after / before. */
  readonly ratio: number;
  readonly spread: readonly [number, number];
}

const pairs = 7;
const warmUps = 3;
const serverCore = 0;
const loadCore = 1;
const sessions = 50;
const tunnelMs = 800;
const tunnelShape = { bytes: 1200, count: 8, intervalMs: 4 };
const relayClients = 40;
const relayBytes = 1000;
const relayBurst = 8;

export const disciplines: readonly Discipline[] = [
  {
    name: 'websocket: a datagram received',
    open: (build) => openTunnel(build, (crowd) => crowd.up(tunnelShape, tunnelMs)),
  },
  {
    name: 'websocket: a datagram sent',
    open: (build) => openTunnel(build, async (crowd) => (await crowd.down(tunnelShape, tunnelMs)).cpuUs),
  },
  { name: 'turn/udp: a packet relayed', open: openRelay },
];

/** The earlier build does not answer this load, so there is nothing to compare. */
export class Incomparable extends Error {}

/**
 * Interleaved pairs: neighbours in time are compared, because what else the machine does changes from one to the next.
 * Rejects with {@link Incomparable} when only the earlier build cannot be measured.
 */
export async function compete({ name, open }: Discipline, before: URL, after: URL): Promise<Verdict> {
  const present = await open(after);
  const builds = [await openEarlier(open, before, present), present] as const;
  try {
    const costs = { before: [] as number[], after: [] as number[] };
    for (let pair = -warmUps; pair < pairs; pair++) {
      const taken = [0, 0];
      for (const turn of pair % 2 === 0 ? [0, 1] : [1, 0]) taken[turn] = (await builds[turn]?.measure()) ?? NaN;
      if (pair < 0) continue;
      costs.before.push(taken[0] ?? NaN);
      costs.after.push(taken[1] ?? NaN);
    }
    const ratios = summarize(costs.after.map((cost, pair) => cost / (costs.before[pair] ?? NaN)));
    return {
      name,
      before: summarize(costs.before).median,
      after: summarize(costs.after).median,
      ratio: ratios.median,
      spread: ratios.spread,
    };
  } finally {
    for (const build of builds) await build.close();
  }
}

async function openEarlier(open: Discipline['open'], before: URL, present: Contender): Promise<Contender> {
  try {
    const earlier = await open(before);
    await earlier.measure();
    return earlier;
  } catch (error) {
    await present.close();
    throw new Incomparable(error instanceof Error ? error.message : String(error));
  }
}

async function openTunnel(build: URL, measure: (crowd: Crowd) => Promise<number>): Promise<Contender> {
  const server = startWorker(new URL('bench/tunnel/server.js', build), serverCore);
  const load = startWorker(new URL('../tunnel/load.js', import.meta.url), loadCore);
  const close = (): Promise<unknown> => Promise.all([server.stop(), load.stop()]);
  const crowd = new Crowd(server, [load]);
  return opened(crowd.connect(sessions), {
    measure: () => measure(crowd),
    close: async () => {
      await crowd.close().catch(() => undefined);
      await close();
    },
  });
}

async function openRelay(build: URL): Promise<Contender> {
  const server = startWorker(new URL('bench/turn/server.js', build), serverCore);
  const load = startWorker(new URL('../turn/load.js', import.meta.url), loadCore);
  return opened(connectRelay(server, load), {
    measure: () =>
      relayedPacketUs(load, { name: 'all', pids: [server.pid], bytes: relayBytes, burst: relayBurst }, () => undefined),
    close: async () => {
      await server.call('stop').catch(() => undefined);
      await Promise.all([server.stop(), load.stop()]);
    },
  });
}

async function connectRelay(server: WorkerProcess, load: WorkerProcess): Promise<void> {
  const host = '127.0.0.1';
  const peer = { address: host, port: (await load.call('startPeer')) as number };
  const ports = (await server.call('start', { relayAllow: [`${host}:${String(peer.port)}`] })) as TurnServerPorts;
  const credentials = (await server.call('credentials', 'regress')) as LoadCredentials;
  const target = { transport: 'udp', host, port: ports.udp, credentials, peer } as const;
  await load.call('connect', { name: 'all', target, clients: relayClients });
  await load.call('introduce', 'all');
}

async function opened(ready: Promise<void>, contender: Contender): Promise<Contender> {
  try {
    await ready;
    return contender;
  } catch (error) {
    await contender.close();
    throw error;
  }
}
