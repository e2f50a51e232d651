/**
 * What calls live through when a part of the system dies: three edges, two SFU nodes, a real redis-server, tunnelled
 * clients with synthetic audio in rooms of four, each of which says something on its control channel every second, and two
 * pages in Chromium that show each other their cameras.
 */
import type { BenchOptions } from '../benches.ts';
import { startCluster, type EdgeProcess, type TestCluster } from '../e2e/cluster.ts';
import type { SfuNodeProcess } from '../e2e/sfu-node.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { percentile, summarize } from '../harness/statistics.ts';
import { Crowd, pause } from './crowd.ts';
import type { LoadReport } from './load.ts';
import { MachineLoad } from './machine-load.ts';
import { counted, longestLoopDelayMs, opensRoom, sessionsAt } from './metrics.ts';
import { Pages } from './pages.ts';

const defaultClients = 200;
const packetMs = 20;
const settleMs = 3000;
const steadyMs = 10_000;

export async function benchCluster(options: BenchOptions): Promise<readonly Figure[]> {
  const cluster = await startCluster({ edges: 3, nodes: 2 });
  const bench = new ClusterBench(cluster, options);
  try {
    return await bench.run();
  } finally {
    await bench.close();
    await cluster.close();
  }
}

class ClusterBench {
  readonly #cluster: TestCluster;
  readonly #clients: number;
  readonly #outageSeconds: number;
  readonly #progress: BenchOptions['progress'];
  readonly #crowd: Crowd;
  readonly #figures: Figure[] = [];
  #pages: Pages | null = null;

  constructor(cluster: TestCluster, { clients, outageSeconds, progress }: BenchOptions) {
    this.#cluster = cluster;
    this.#clients = clients ?? defaultClients;
    this.#outageSeconds = outageSeconds;
    this.#progress = progress;
    this.#crowd = new Crowd({ clients: this.#clients, rung: 'websocket', packetMs });
  }

  async run(): Promise<readonly Figure[]> {
    this.#progress(`${String(this.#clients)} clients and two pages join`);
    await this.#crowd.join(this.#edges.map(({ url }) => url));
    this.#pages = await Pages.join(this.#edges.slice(0, 2).map(({ url }) => url));
    await pause(settleMs);
    await this.#steady();
    // Before its edge is gone: a page that joins again loads its worker from where it came from.
    await this.#killNode();
    await this.#killEdge();
    await this.#directoryAway();
    await this.#rollingDrain();
    await this.#crowd.leave();
    return this.#figures;
  }

  async close(): Promise<void> {
    await this.#pages?.close();
    await this.#crowd.stop();
  }

  get #edges(): readonly EdgeProcess[] {
    return this.#cluster.edges.filter(({ running }) => running);
  }

  get #nodes(): readonly SfuNodeProcess[] {
    return this.#cluster.nodes.filter(({ running }) => running);
  }

  /** What all of it costs, and what is late, while nothing happens. */
  async #steady(): Promise<void> {
    this.#progress('nothing happens');
    const machine = new MachineLoad();
    const before = await this.#begin();
    await pause(steadyMs);
    this.#tell('steady.machine_busy', '% of all cores', machine.busyPercent());
    this.#tell('steady.edge_loop_delay_p99_ms', 'ms', await longestLoopDelayMs(this.#edges));
    this.#tell('steady.node_loop_delay_p99_ms', 'ms', await longestLoopDelayMs(this.#nodes));
    const report = await this.#crowd.settled();
    await this.#tellCalls('steady', report, before);
    this.#tellGaps('steady', report);
  }

  async #killEdge(): Promise<void> {
    this.#progress('kill -9 of an edge');
    const [victim] = this.#edges;
    if (victim === undefined) throw new Error('no edge is left');
    const sessions = await sessionsAt(victim);
    const before = await this.#begin();
    const killedAt = Date.now();
    await victim.end('SIGKILL');
    await pause(settleMs);
    const report = await this.#crowd.settled();
    this.#tellReturn('edge_killed', report, killedAt, sessions, 3000);
    await this.#tellCalls('edge_killed', report, before);
    this.#tellGaps('edge_killed', report);
    await this.#cluster.startEdge('edge4');
  }

  async #killNode(): Promise<void> {
    this.#progress('kill -9 of an SFU node');
    const held = await Promise.all(this.#nodes.map((node) => sessionsAt(node)));
    const most = Math.max(...held);
    const victim = this.#nodes[held.indexOf(most)];
    if (victim === undefined) throw new Error('no node is left');
    await this.#begin();
    const killedAt = Date.now();
    await victim.end('SIGKILL');
    await pause(settleMs);
    const report = await this.#crowd.settled();
    this.#tellReturn('node_killed', report, killedAt, most, 5000);
    // Its control state died with it: what was under way to it is refused, and said again by whoever wants to.
    await this.#tellCalls('node_killed', report, null);
    await this.#cluster.startNode('node3');
  }

  async #directoryAway(): Promise<void> {
    this.#progress(`the directory is away for ${String(this.#outageSeconds)} s, and comes back empty`);
    const before = await this.#begin();
    await this.#cluster.redis.stop();
    await pause(this.#outageSeconds * 1000);
    const startedAt = performance.now();
    await this.#cluster.redis.start();
    await this.#rebuilt();
    this.#tell('redis_away.rebuilt_ms', 'ms', performance.now() - startedAt);
    const report = await this.#crowd.settled();
    await this.#tellCalls('redis_away', report, before);
    this.#tellGaps('redis_away', report);
  }

  async #rollingDrain(): Promise<void> {
    this.#progress('rolling drain of all edges');
    const before = await this.#begin();
    for (const [i, edge] of this.#edges.entries()) {
      await this.#cluster.startEdge(`fresh${String(i)}`);
      await pause(settleMs);
      await edge.drain();
      await edge.end('SIGCONT');
    }
    const report = await this.#crowd.settled();
    await this.#tellCalls('drain', report, before);
    this.#tellGaps('drain', report);
  }

  /** Until all edges see the directory again, it has all sessions, and a room that nobody has met can be placed. */
  async #rebuilt(): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const metrics = await Promise.all(this.#edges.map((edge) => edge.metrics()));
      const held = await this.#cluster.redis.countSessions();
      if (held >= this.#clients && metrics.every((text) => text.includes('\nsallyport_directory_up 1\n'))) {
        const opened = await Promise.all(this.#edges.map(({ url }) => opensRoom(url, `fresh-${String(attempt)}`)));
        if (opened.every(Boolean)) return;
      }
      await pause(100);
    }
  }

  /** Returns how many requests the SFU nodes have had. */
  async #begin(): Promise<number> {
    const before = await this.#requestsTaken();
    await this.#pages?.begin();
    await this.#crowd.begin();
    return before;
  }

  async #requestsTaken(): Promise<number> {
    const each = await Promise.all(this.#nodes.map(async (node) => counted(await node.metrics(), 'requests')));
    return each.reduce((sum, count) => sum + count, 0);
  }

  /** `limitMs`: how soon all of them should be back. */
  #tellReturn(id: string, report: LoadReport, killedAt: number, sessions: number, limitMs: number): void {
    const pageSessions = 2;
    const backMs = report.outages.map(({ backAt }) => backAt - killedAt).sort((a, b) => a - b);
    this.#tell(`${id}.sessions_held`, 'sessions, pages among them', sessions);
    this.#tell(`${id}.sessions_hit`, 'sessions of Node clients', backMs.length + report.away);
    if (backMs.length === 0) return;
    if (backMs.length + report.away < sessions - pageSessions) this.#progress('fewer were hit than were there');
    const inTime = backMs.filter((ms) => ms <= limitMs).length;
    this.#tell(
      `${id}.back_in_${String(limitMs / 1000)}_s`,
      '% of sessions',
      (100 * inTime) / (backMs.length + report.away),
    );
    this.#tell(`${id}.back_p50_ms`, 'ms', percentile(backMs, 0.5));
    this.#tell(`${id}.back_p95_ms`, 'ms', percentile(backMs, 0.95));
    this.#tell(`${id}.back_max_ms`, 'ms', percentile(backMs, 1));
  }

  /** `before`: requests that the nodes had had; null where one of them is gone with what it had counted. */
  async #tellCalls(id: string, report: LoadReport, before: number | null): Promise<void> {
    const { clients, open, sent, answered, refused, outOfOrder, unheard, ended } = report;
    this.#tell(`${id}.calls_dropped`, `of ${String(clients)} calls`, clients - open);
    if (before !== null) {
      const taken = (await this.#requestsTaken()) - before;
      this.#tell(`${id}.requests_sent`, 'requests on control channels', sent);
      this.#tell(`${id}.requests_lost`, 'requests without an answer', sent - answered);
      this.#tell(`${id}.requests_doubled`, 'requests that a node had twice', Math.max(0, taken - sent));
      this.#tell(`${id}.events_out_of_order`, 'words of others after later ones', outOfOrder);
      this.#tell(`${id}.events_lost`, 'last words of others that never came', unheard);
    } else this.#tell(`${id}.requests_refused`, 'requests that the node had not answered', refused);
    const pages = await this.#pages?.report();
    if (pages !== undefined) {
      this.#tell(`${id}.pages_in_call`, `of ${String(pages.pages)} pages`, pages.inCall);
      this.#tell(`${id}.page_picture_still_ms`, 'ms', pages.stillMs);
    }
    if (ended.length > 0) this.#progress(`ended: ${[...new Set(ended)].join(', ')}`);
  }

  #tellGaps(id: string, { gapsMs }: LoadReport): void {
    if (gapsMs.length === 0) return;
    const sorted = [...gapsMs].sort((a, b) => a - b);
    this.#tell(`${id}.audio_tracks`, 'tracks', gapsMs.length);
    this.#tell(`${id}.audio_gap_p95_ms`, 'ms', percentile(sorted, 0.95));
    this.#tell(`${id}.audio_gap_max_ms`, 'ms', percentile(sorted, 1));
  }

  #tell(id: string, unit: string, value: number): void {
    const made = figure(`cluster.${id}`, unit, summarize([value]));
    this.#figures.push(made);
    this.#progress(`${id}: ${String(made.value)} ${unit}`);
  }
}
