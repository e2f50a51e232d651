/**
 * What signalling one edge with its SFU carries on one core. `alone`: participants, each in a room
 * of its own, mute, unmute and say how they are on control channels that are open, over WebSockets with TLS; `rooms`: the same in
 * rooms of four, so that three others are told of it and acknowledge that. `life`: whole calls of 20 requests, with session, TLS connection, joining, offer, and leaving. What is
 * offered grows in steps while the edge answers all of it; the figures are those of the last step that it did. CPU time is
 * the edge's alone, so requests per second of CPU say what a core does that a load on the other core cannot fill.
 */
import type { BenchOptions } from '../benches.ts';
import type { CpuReading } from '../harness/cpu-meter.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { percentile, summarize } from '../harness/statistics.ts';
import { startWorker, type WorkerProcess } from '../harness/worker-process.ts';
import type { TalkReport } from './load.ts';

const sessions = 1200;
const loadProcesses = 2;
const steps = [1000, 2000, 3000, 4000, 6000, 8000, 12_000, 16_000, 20_000, 24_000];
const windowSeconds = 3;
/** Of the time that was planned, beyond which replies came too late for the rate to have been that. */
const tolerance = 1.1;
const livesPerRun = 100;
const openTimeoutMs = 300_000;

interface Window {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly busyPercent: number;
  readonly p50: number;
  readonly p99: number;
  readonly kept: boolean;
}

export async function benchSignalling({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const server = startWorker(new URL('./server.js', import.meta.url), 0);
  const loads = Array.from({ length: loadProcesses }, () => startWorker(new URL('./load.js', import.meta.url), 1));
  const tell = (id: string, unit: string, of: readonly Window[], value: (window: Window) => number): Figure =>
    figure(`signalling.${id}`, unit, summarize(of.map(value)));
  try {
    const url = (await server.call('start')) as string;
    progress('whole calls');
    const lives: Window[] = [];
    for (let run = 0; run <= runs; run++) {
      const life = await live(server, loads, url);
      if (run > 0) lives.push(life);
    }
    const figures = [
      tell('life.cpu_us', 'µs of CPU per request of whole calls', lives, ({ cpuUs }) => cpuUs),
      tell('life.requests_per_cpu_s', 'requests of whole calls per second of CPU', lives, ({ cpuUs }) => 1e6 / cpuUs),
    ];
    for (const [id, roomSize] of [
      ['alone', 1],
      ['rooms', 4],
    ] as const) {
      progress(`${String(sessions)} sessions, ${String(roomSize)} in a room`);
      const order = { url, sessions: sessions / loads.length, roomSize };
      await Promise.all(loads.map((load) => load.call('open', order, openTimeoutMs)));
      const windows = await climb(server, loads, runs, progress);
      figures.push(
        tell(`${id}.requests_per_s`, 'requests/s answered', windows, ({ perSecond }) => perSecond),
        tell(`${id}.core_busy`, "% of the edge's core", windows, ({ busyPercent }) => busyPercent),
        tell(`${id}.cpu_us`, 'µs of CPU per request', windows, ({ cpuUs }) => cpuUs),
        tell(`${id}.requests_per_cpu_s`, 'requests per second of CPU', windows, ({ cpuUs }) => 1e6 / cpuUs),
        tell(`${id}.delay_p50_ms`, 'ms to the reply', windows, ({ p50 }) => p50),
        tell(`${id}.delay_p99_ms`, 'ms to the reply', windows, ({ p99 }) => p99),
      );
      await Promise.all(loads.map((load) => load.call('end')));
    }
    return figures;
  } finally {
    await Promise.all([server, ...loads].map((worker) => worker.stop()));
  }
}

/** Offers more and more while all of it is answered in time; returns the runs of the last step that was. */
async function climb(
  server: WorkerProcess,
  loads: readonly WorkerProcess[],
  runs: number,
  progress: BenchOptions['progress'],
): Promise<readonly Window[]> {
  let kept = steps[0] ?? 0;
  for (const step of steps) {
    const window = await talk(server, loads, step);
    const [rate, busy] = [Math.round(window.perSecond), Math.round(window.busyPercent)];
    progress(`${String(step)} requests/s offered: ${String(rate)} answered, the edge's core is ${String(busy)} % busy`);
    if (!window.kept) break;
    kept = step;
  }
  const windows: Window[] = [];
  for (let run = 0; run < runs; run++) windows.push(await talk(server, loads, kept));
  return windows;
}

async function talk(
  server: WorkerProcess,
  loads: readonly WorkerProcess[],
  requestsPerSecond: number,
): Promise<Window> {
  await server.call('begin');
  const order = { seconds: windowSeconds, requestsPerSecond: requestsPerSecond / loads.length };
  const reports = (await Promise.all(loads.map((load) => load.call('talk', order)))) as TalkReport[];
  const { cpuUs, wallMs } = (await server.call('end')) as CpuReading;
  const answered = reports.reduce((sum, one) => sum + one.answered, 0);
  const refused = reports.reduce((sum, one) => sum + one.refused, 0);
  if (refused > 0) throw new Error(`${String(refused)} requests were refused`);
  const delays = reports.flatMap(({ delaysMs }) => delaysMs).sort((a, b) => a - b);
  return {
    perSecond: (1000 * answered) / wallMs,
    cpuUs: cpuUs / answered,
    busyPercent: cpuUs / wallMs / 10,
    p50: percentile(delays, 0.5),
    p99: percentile(delays, 0.99),
    kept: answered >= requestsPerSecond * windowSeconds * 0.99 && wallMs <= 1000 * windowSeconds * tolerance,
  };
}

async function live(server: WorkerProcess, loads: readonly WorkerProcess[], url: string): Promise<Window> {
  await server.call('begin');
  const order = { url, lives: livesPerRun / loads.length };
  const answered = (await Promise.all(loads.map((load) => load.call('live', order, openTimeoutMs)))) as number[];
  const { cpuUs, wallMs } = (await server.call('end')) as CpuReading;
  const total = answered.reduce((sum, one) => sum + one, 0);
  const rates = { perSecond: (1000 * total) / wallMs, cpuUs: cpuUs / total, busyPercent: cpuUs / wallMs / 10 };
  return { ...rates, p50: 0, p99: 0, kept: true };
}
