/** How much later than by UDP a datagram arrives by each rung of the tunnel, on a loopback interface that is idle. */
import type { BenchOptions } from '../benches.ts';
import { distributed, figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker } from '../harness/worker-process.ts';
import type { Ages } from './age-log.ts';
import type { BenchRung } from './rung-client.ts';

const rungs: readonly BenchRung[] = ['udp', 'websocket', 'http-stream', 'http-stream-h1', 'long-poll', 'long-poll-h1'];
const bytes = 100;
const intervalMs = 20;
const durationMs = 4000;
/** A rung's first datagrams find code that is not compiled. */
const warmUpMs = 1500;

type Direction = 'up' | 'down';
type Readings = Record<Direction, Ages[]>;

export async function measureLatency({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const readings = new Map<BenchRung, Readings>();
  for (const rung of rungs) {
    progress(`latency by ${rung}`);
    readings.set(rung, await measure(rung, runs));
  }
  const figures: Figure[] = [];
  const udp = readings.get('udp');
  for (const [rung, reading] of readings) {
    for (const direction of ['up', 'down'] as const) {
      for (const of of ['p50Ms', 'p99Ms'] as const) {
        const id = `tunnel.${rung}.latency_${direction}_${of === 'p50Ms' ? 'p50' : 'p99'}_ms`;
        const own = reading[direction].map((ages) => ages[of]);
        const curved = (plain: Figure): Figure =>
          of === 'p50Ms'
            ? distributed(
                plain,
                reading[direction].map(({ quantilesMs }) => quantilesMs),
              )
            : plain;
        if (rung === 'udp' || udp === undefined) {
          figures.push(curved(figure(id, 'ms from end to end', summarize(own))));
          continue;
        }
        const direct = summarize(udp[direction].map((ages) => ages[of]));
        const added = figure(id, 'ms more than UDP', summarize(own.map((ms) => ms - direct.median)));
        // A ratio to a difference would say nothing.
        figures.push({ ...curved(added), against: { name: 'UDP itself', value: figure(id, '', direct).value } });
      }
    }
  }
  return figures;
}

async function measure(rung: BenchRung, runs: number): Promise<Readings> {
  const server = startWorker(new URL('./rung-server.js', import.meta.url));
  const client = startWorker(new URL('./rung-client.js', import.meta.url));
  try {
    await client.call('connect', { rung, ends: await server.call('start') });
    const readings: Readings = { up: [], down: [] };
    for (let run = 0; run <= runs; run++) {
      await client.call('start', { bytes, intervalMs });
      // By now the edge knows where to send to.
      await pause(run === 0 ? warmUpMs : intervalMs * 5);
      await server.call('send', { bytes, intervalMs });
      await pause(run === 0 ? warmUpMs : intervalMs * 5);
      await server.call('resetAges');
      await client.call('resetAges');
      await pause(run === 0 ? warmUpMs : durationMs);
      const up = (await server.call('ages')) as Ages;
      const down = (await client.call('ages')) as Ages;
      await client.call('stop');
      await server.call('stopSending');
      if (run === 0) continue;
      // Timers of a busy machine come late, so that fewer are sent; none is lost.
      const least = (durationMs / intervalMs) * 0.5;
      if (up.received < least || down.received < least) {
        throw new Error(`${rung}: only ${String(up.received)} came up and ${String(down.received)} down`);
      }
      readings.up.push(up);
      readings.down.push(down);
    }
    await client.call('close');
    await server.call('end');
    return readings;
  } finally {
    await Promise.all([client.stop(), server.stop()]);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
