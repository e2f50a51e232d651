/**
 * What a datagram costs the gateway on the websocket rung, both ways, without the SFU: CPU time of the edge's whole
 * process, pinned to one core, per datagram, with 50 sessions over TLS. Nothing is subtracted from it. Of the two
 * processes of clients one shares the edge's core, as other work does on a busy machine, so that a wake-up of the edge
 * tends to serve several sessions. In the paced figures there is less to do, and nearly every message wakes it up.
 */
import type { BenchOptions } from '../benches.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker, type WorkerProcess } from '../harness/worker-process.ts';
import { Crowd, type TunnelShape } from './crowd.ts';

const sessions = 50;
const datagramsPerMessage = 8;
/** 100 000 datagrams a second. */
const busyIntervalMs = 4;
/** As media is paced. */
const pacedIntervalMs = 20;
const durationMs = 2500;
/** Until the engine has compiled what is hot, which costs more than the work itself. */
const warmUpMs = 8000;
const sizes = [100, 1200];
const soakBytes = 1200;

export async function measureCost({ runs, progress, soakSeconds }: BenchOptions): Promise<readonly Figure[]> {
  const server = startWorker(new URL('./server.js', import.meta.url), 0);
  const loads = [0, 1].map((core) => startWorker(new URL('./load.js', import.meta.url), core));
  const crowd = new Crowd(server, loads);
  try {
    const figures: Figure[] = [];
    await crowd.connect(sessions);
    progress('warming up');
    for (const bytes of sizes) {
      const shape = { bytes, count: datagramsPerMessage, intervalMs: busyIntervalMs };
      await crowd.up(shape, warmUpMs / 4);
      await crowd.down(shape, warmUpMs / 4);
    }
    for (const bytes of sizes) {
      const shape = { bytes, count: datagramsPerMessage, intervalMs: busyIntervalMs };
      figures.push(...(await measure(crowd, '', shape, runs, progress)));
      figures.push(...(await measure(crowd, 'batch16_', { ...shape, count: 16 }, runs, progress)));
      figures.push(...(await measure(crowd, 'paced_', { ...shape, intervalMs: pacedIntervalMs }, runs, progress)));
    }
    progress(`heap over ${String(soakSeconds)} s`);
    figures.push(await measureHeap(crowd, server, soakSeconds * 1000));
    await crowd.close();
    return figures;
  } finally {
    await Promise.all([server, ...loads].map((worker) => worker.stop()));
  }
}

async function measure(
  crowd: Crowd,
  prefix: string,
  shape: TunnelShape,
  runs: number,
  progress: (text: string) => void,
): Promise<Figure[]> {
  const id = `tunnel.websocket.${String(shape.bytes)}`;
  progress(`${id}: ${String(shape.count)} to a message, every ${String(shape.intervalMs)} ms`);
  const up: number[] = [];
  const down: number[] = [];
  const overhead: number[] = [];
  for (let run = 0; run < runs; run++) {
    up.push(await crowd.up(shape, durationMs));
    const sent = await crowd.down(shape, durationMs);
    down.push(sent.cpuUs);
    overhead.push(sent.overheadBytes);
  }
  const figures = [
    figure(`${id}.${prefix}cpu_us`, 'µs per datagram received', summarize(up)),
    figure(`${id}.${prefix}send_cpu_us`, 'µs per datagram sent', summarize(down)),
  ];
  if (prefix === '') {
    figures.push(figure(`${id}.framing_bytes`, 'bytes per datagram inside the message', summarize(overhead)));
  }
  return figures;
}

/** What is left over of traffic both ways. */
async function measureHeap(crowd: Crowd, server: WorkerProcess, soakMs: number): Promise<Figure> {
  const shape = { bytes: soakBytes, count: datagramsPerMessage, intervalMs: pacedIntervalMs };
  await crowd.both(shape, durationMs);
  const before = (await server.call('heap')) as number;
  await crowd.both(shape, soakMs);
  const after = (await server.call('heap')) as number;
  const unit = `KiB of heap more after ${String(soakMs / 1000)} s`;
  return figure('tunnel.websocket.heap_growth_kib', unit, summarize([(after - before) / 1024]));
}
