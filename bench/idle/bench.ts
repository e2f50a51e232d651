/**
 * What an idle session on the websocket rung costs one process: memory per session and the CPU of its keep-alives. The
 * sessions are real ones: asked for, authenticated, over TLS, with the control channel open and its pings going.
 */
import { execFileSync } from 'node:child_process';
import type { BenchOptions } from '../benches.ts';
import type { CpuReading } from '../harness/cpu-meter.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker, type WorkerProcess } from '../harness/worker-process.ts';
import type { IdleOrder } from './load.ts';
import type { MemoryReading } from './server.ts';

const sessions = 10_000;
/** Enough to tell what is the SFU's of it. */
const comparedSessions = 2000;
const loadProcesses = 4;
/** What the edge itself and its modules hold open. */
const spareDescriptors = 500;
/** Six keep-alives of each. */
const idleMs = 30_000;
const connectTimeoutMs = 900_000;

interface Outcome {
  readonly before: MemoryReading;
  readonly after: MemoryReading;
  readonly highestRssBytes: number;
  readonly cpu: CpuReading;
  readonly sessions: number;
}

/** Throws when the system does not let a process have that many connections. */
export async function benchIdle({ progress }: BenchOptions): Promise<readonly Figure[]> {
  requireDescriptors(sessions + spareDescriptors);
  const compared = await hold('sink', comparedSessions, progress);
  const outcome = await hold('sfu', sessions, progress);
  const kib = (of: (reading: MemoryReading) => number, { before, after, sessions: count }: Outcome): number =>
    (of(after) - of(before)) / count / 1024;
  const heap = (reading: MemoryReading): number => reading.heapBytes + reading.bufferBytes;
  const one = (id: string, unit: string, value: number): Figure =>
    figure(`idle.websocket.${id}`, unit, summarize([value]));
  const perSession = 'KiB per session';
  const highest = (outcome.highestRssBytes - outcome.before.rssBytes) / outcome.sessions / 1024;
  const objects = kib(heap, outcome);
  const objectsWithoutSfu = kib(heap, compared);
  return [
    one('sessions', 'sessions', outcome.sessions),
    one('rss_kib', perSession, highest),
    one('objects_kib', perSession, objects),
    one('objects_sfu_kib', perSession, objects - objectsWithoutSfu),
    one('objects_gateway_kib', perSession, objectsWithoutSfu),
    one('native_kib', perSession, highest - objects),
    one('cpu_percent', '% of a core for keep-alives', (outcome.cpu.cpuUs / outcome.cpu.wallMs / 1000) * 100),
  ];
}

async function hold(sfu: 'sfu' | 'sink', count: number, progress: (text: string) => void): Promise<Outcome> {
  const server = startWorker(new URL('./server.js', import.meta.url), 0);
  const loads = Array.from({ length: loadProcesses }, () => startWorker(new URL('./load.js', import.meta.url)));
  try {
    const url = (await server.call('start', sfu)) as string;
    // What the first sessions load and compile is not theirs.
    await connect(loads.slice(0, 1), url, 20, 'first');
    const before = (await server.call('memory')) as MemoryReading;
    progress(`opening ${String(count)} sessions${sfu === 'sfu' ? '' : ', without the SFU for comparison'}`);
    await connect(loads, url, count, 'idle');
    if (sfu === 'sfu') {
      const counted = (await server.call('sessions')) as number;
      if (counted < count) throw new Error(`the edge counts only ${String(counted)} of ${String(count)} sessions`);
    }
    progress(`${String(count)} sessions keep alive`);
    await server.call('memory');
    await server.call('begin');
    let highestRssBytes = 0;
    for (let passed = 0; passed < idleMs; passed += 1000) {
      await pause(1000);
      highestRssBytes = Math.max(highestRssBytes, (await server.call('rss')) as number);
    }
    const cpu = (await server.call('end')) as CpuReading;
    const after = (await server.call('memory')) as MemoryReading;
    for (const load of loads) {
      const lost = (await load.call('lost')) as number;
      if (lost > 0) throw new Error(`${String(lost)} of the sessions were lost meanwhile`);
    }
    return { before, after, highestRssBytes, cpu, sessions: count };
  } finally {
    await Promise.all([server, ...loads].map((worker) => worker.stop()));
  }
}

async function connect(loads: readonly WorkerProcess[], url: string, count: number, name: string): Promise<void> {
  await Promise.all(
    loads.map((load, index) => {
      const order: IdleOrder = {
        url,
        sessions: count / loads.length,
        localAddress: `127.0.0.${String(index + 2)}`,
        roomPrefix: `${name}-${String(index)}`,
      };
      return load.call('connect', order, connectTimeoutMs);
    }),
  );
}

/** The limit is inherited by the processes of the bench. */
function requireDescriptors(wanted: number): void {
  if (process.platform === 'win32') return;
  const text = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
  if (text === 'unlimited' || Number(text) >= wanted) return;
  throw new Error(
    `a process may open ${text} files here, and the edge needs ${String(wanted)}: run "ulimit -n ${String(wanted)}" first, ` +
      'as root if the hard limit is lower too',
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
