/**
 * What calls live through when a part of the system dies: three edges, two SFU nodes, a real redis-server, and tunnelled
 * clients with synthetic audio, in rooms of four; each says something on its control channel every second.
 */
import type { BenchOptions } from '../benches.ts';
import { startCluster, type TestCluster } from '../e2e/cluster.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker, type WorkerProcess } from '../harness/worker-process.ts';
import type { JoinOrder, LoadReport } from './load.ts';

/** `BENCH_CLIENTS` and `BENCH_OUTAGE_SECONDS` make it smaller, or longer. */
const clientCount = Number(process.env['BENCH_CLIENTS'] ?? 200);
const outageSeconds = Number(process.env['BENCH_OUTAGE_SECONDS'] ?? 60);
const clientsPerWorker = 50;
const clientsPerRoom = 4;
const settleMs = 3000;
const patienceMs = 60_000;

export async function benchCluster({ progress }: BenchOptions): Promise<readonly Figure[]> {
  const cluster = await startCluster({ edges: 3, nodes: 2 });
  const workers = Array.from({ length: Math.ceil(clientCount / clientsPerWorker) }, () =>
    startWorker(new URL('./load.js', import.meta.url)),
  );
  const load = new Load(workers);
  const figures: Figure[] = [];
  const tell = (id: string, unit: string, values: readonly number[]): void => {
    if (values.length > 0) figures.push(figure(`cluster.${id}`, unit, summarize(values)));
  };
  const telling = (id: string, { outagesMs, open, clients, requests, requestsLost, ended }: LoadReport): void => {
    const sorted = [...outagesMs].sort((a, b) => a - b);
    tell(`${id}.sessions_hit`, 'sessions', [sorted.length]);
    tell(`${id}.back_p95_ms`, 'ms', sorted.length === 0 ? [] : [sorted[Math.floor(sorted.length * 0.95)] ?? 0]);
    tell(`${id}.back_max_ms`, 'ms', sorted.length === 0 ? [] : [sorted.at(-1) ?? 0]);
    tell(`${id}.calls_dropped`, 'calls', [clients - open]);
    tell(`${id}.control_lost`, `of ${String(requests)} requests`, [requestsLost]);
    if (ended.length > 0) progress(`ended: ${[...new Set(ended)].join(', ')}`);
  };
  try {
    progress(`${String(clientCount)} clients join`);
    await load.join(cluster);
    await pause(settleMs);

    progress('kill -9 of an edge');
    await load.begin();
    await cluster.edges[0]?.end('SIGKILL');
    telling('edge_killed', await load.settled());
    await cluster.startEdge('edge4');

    progress('kill -9 of an SFU node');
    await load.begin();
    await cluster.nodes[0]?.end('SIGKILL');
    telling('node_killed', await load.settled());
    await cluster.startNode('node3');

    progress(`the directory is away for ${String(outageSeconds)} s, and comes back empty`);
    await load.begin();
    await cluster.redis.stop();
    await pause(outageSeconds * 1000);
    await cluster.redis.start();
    const rebuiltMs = await rebuilt(cluster);
    telling('redis_away', await load.report());
    tell('redis_away.rebuilt_ms', 'ms', [rebuiltMs]);

    progress('rolling drain of all edges');
    await load.begin();
    for (const [i, edge] of cluster.edges.filter(({ id }) => id !== 'edge1').entries()) {
      await cluster.startEdge(`fresh${String(i)}`);
      await pause(settleMs);
      await edge.drain();
      await edge.end('SIGCONT');
    }
    const drained = await load.settled();
    telling('drain', drained);
    tell('drain.audio_gap_max_ms', 'ms', drained.gapsMs.length === 0 ? [] : [Math.max(...drained.gapsMs)]);
    await load.leave();
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await cluster.close();
  }
  return figures;
}

class Load {
  readonly #workers: readonly WorkerProcess[];

  constructor(workers: readonly WorkerProcess[]) {
    this.#workers = workers;
  }

  async join(cluster: TestCluster): Promise<void> {
    const urls = cluster.edges.map(({ url }) => url);
    await Promise.all(
      this.#workers.map((worker, w) => {
        const first = w * clientsPerWorker;
        const count = Math.min(clientsPerWorker, clientCount - first);
        const rooms = Array.from(
          { length: count },
          (_, i) => `room-${String(Math.floor((first + i) / clientsPerRoom))}`,
        );
        const order: JoinOrder = { urls, rooms, rung: 'websocket' };
        return worker.call('join', order, 600_000);
      }),
    );
  }

  async begin(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.call('begin')));
  }

  async report(): Promise<LoadReport> {
    const reports = (await Promise.all(this.#workers.map((worker) => worker.call('report')))) as LoadReport[];
    const sum = (of: (report: LoadReport) => number): number => reports.reduce((total, one) => total + of(one), 0);
    return {
      clients: sum(({ clients }) => clients),
      open: sum(({ open }) => open),
      away: sum(({ away }) => away),
      requests: sum(({ requests }) => requests),
      requestsLost: sum(({ requestsLost }) => requestsLost),
      outagesMs: reports.flatMap(({ outagesMs }) => outagesMs),
      gapsMs: reports.flatMap(({ gapsMs }) => gapsMs),
      ended: reports.flatMap(({ ended }) => ended),
    };
  }

  /** When everybody is back, or has had the time for it. */
  async settled(): Promise<LoadReport> {
    const deadline = performance.now() + patienceMs;
    await pause(settleMs);
    for (;;) {
      const report = await this.report();
      if (report.away === 0 || performance.now() > deadline) return report;
      await pause(100);
    }
  }

  async leave(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.call('leave')));
  }
}

/** Ms until all edges see the directory again, and a room that none of them has met can be placed. */
async function rebuilt(cluster: TestCluster): Promise<number> {
  const startedAt = performance.now();
  const living = cluster.edges.filter(({ id }) => id !== 'edge1');
  for (;;) {
    const metrics = await Promise.all(living.map((edge) => edge.metrics()));
    if (metrics.every((text) => text.includes('\nsallyport_directory_up 1\n'))) {
      const room = `fresh-${String(Math.round(performance.now()))}`;
      const opened = await Promise.all(living.map(({ url }) => opens(url, room)));
      if (opened.every(Boolean)) return performance.now() - startedAt;
    }
    await pause(100);
  }
}

async function opens(url: string, room: string): Promise<boolean> {
  const { request } = await import('node:https');
  return new Promise((resolve) => {
    const body = JSON.stringify({ room, client: { kind: 'bench', version: '1' } });
    const post = request(
      `${url}/v1/sessions`,
      { method: 'POST', rejectUnauthorized: false, headers: { 'content-type': 'application/json' } },
      (response) => {
        response.resume();
        resolve(response.statusCode === 201);
      },
    );
    post.once('error', () => {
      resolve(false);
    });
    post.end(body);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
