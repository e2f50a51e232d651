/**
 * `node dist/gateway/crowd/soak.js [count] [engine] [kind]`: that many connections (10,000) of each kind (or of one), one
 * kind after another, to a whole edge in this process, cut in each of their stages in turn; then what the edge still
 * holds against what it held before: descriptors, heap, sessions, allocations, connections. Fails when something was not
 * served, or stays.
 */
import { fork } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { startCrowdEdge, type CrowdEdge } from './crowd-edge.ts';
import type { SoakReport } from './plan.ts';

const count = Number(process.argv[2] ?? 10_000);
const engine = process.argv[3] ?? 'auto';
const onlyKind = process.argv[4] ?? null;
const sessionGraceMs = 2000;
const warmUpCount = 200;
/** What is made once and kept: compiled code, caches, pools. */
const heapSlackBytes = 4 * 2 ** 20;
/** Longer than an opening, a handshake, an idle connection of any kind. */
const settleSeconds = 30;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

interface Holding {
  readonly descriptors: number;
  readonly heapBytes: number;
  readonly rssBytes: number;
  /** Sessions, allocations, connections, as the metrics tell them. */
  readonly gauges: Readonly<Record<string, number>>;
}

const edge = await startCrowdEdge({ SALLYPORT_ENGINE: engine }, { sessionGraceMs });
const plan = await edge.plan(64);
let unserved = 0;
try {
  await visit(warmUpCount, false);
  const before = await settled();
  await visit(count, true);
  const after = await settled();
  print(JSON.stringify({ engine: edge.info.engine, before, after, errors: edge.errors }, null, 2));
  const leaked = after.descriptors > before.descriptors || sumOf(after) > sumOf(before);
  const grown = after.heapBytes > before.heapBytes + heapSlackBytes;
  process.exitCode = leaked || grown || unserved > 0 || edge.errors.length > 0 ? 1 : 0;
} finally {
  await edge.close();
}

async function visit(each: number, told: boolean): Promise<void> {
  const clients = fork(new URL('soak-process.js', import.meta.url));
  await new Promise<void>((resolve, reject) => {
    clients.on('message', (message) => {
      const report = message as SoakReport | null;
      if (report === null) {
        resolve();
        return;
      }
      unserved += report.unserved;
      if (told) print(`${report.kind}: ${JSON.stringify(report)}, descriptors ${String(openDescriptors())}`);
    });
    clients.once('exit', () => {
      reject(new Error('the process of the clients ended early'));
    });
    clients.send({ ...plan, count: each, onlyKind });
  }).finally(() => clients.kill('SIGKILL'));
}

/** Once nothing changes any more. */
async function settled(): Promise<Holding> {
  let held = await holding(edge);
  for (let i = 0, same = 0; i < settleSeconds && same < 4; i++) {
    await sleep(1000);
    const now = await holding(edge);
    same = sumOf(now) === sumOf(held) && now.descriptors === held.descriptors ? same + 1 : 0;
    held = now;
  }
  return held;
}

async function holding(edge: CrowdEdge): Promise<Holding> {
  const gauges: Record<string, number> = {};
  for (const line of (await edge.metrics()).split('\n')) {
    const [name = '', value] = line.split(' ');
    if (!/^sallyport_(sessions|turn_allocations|connections)(\{|$)/.test(name)) continue;
    if (value !== '0') gauges[name] = Number(value);
  }
  collect();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { descriptors: openDescriptors(), heapBytes: heapUsed + arrayBuffers, rssBytes: rss, gauges };
}

function sumOf({ gauges }: Holding): number {
  return Object.values(gauges).reduce((sum, value) => sum + value, 0);
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
