/**
 * What forwarding costs: one publisher, ten subscribers over UDP, all with DTLS-SRTP, at a fixed rate; CPU time of the
 * edge's process per packet sent, the share lost, and what a join costs.
 */
import type { BenchOptions } from '../benches.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker } from '../harness/worker-process.ts';
import type { CpuReading } from '../harness/cpu-meter.ts';

const subscribers = 10;
const perSecond = 500;
const durationMs = 4000;
/** 1200 bytes as a datagram: RTP header 12, MID extension 8, SRTP tag 16. */
const payloadBytes = 1164;

export async function benchSfu({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const cpuUs: number[] = [];
  const lostPercent: number[] = [];
  const joinCpuMs: number[] = [];
  const server = startWorker(new URL('./server.js', import.meta.url), 0);
  const load = startWorker(new URL('./load.js', import.meta.url), 1);
  try {
    const url = await server.call('start');
    for (let run = 0; run <= runs; run++) {
      progress(run === 0 ? 'warm-up' : `run ${String(run)} of ${String(runs)}`);
      await server.call('begin');
      await load.call('connect', { url, subscribers });
      const joins = (await server.call('end')) as CpuReading;
      // The first key frame opens every slot; only then does everything that is sent arrive.
      await load.call('publish', { bytes: payloadBytes, perSecond, durationMs: 1000 });
      await server.call('begin');
      const { sent, received } = (await load.call('publish', { bytes: payloadBytes, perSecond, durationMs })) as {
        sent: number;
        received: number;
      };
      const forwarding = (await server.call('end')) as CpuReading;
      await load.call('close');
      if (run === 0) continue;
      if (received === 0) throw new Error('no packet was forwarded');
      cpuUs.push(forwarding.cpuUs / received);
      lostPercent.push(100 * (1 - received / (sent * subscribers)));
      joinCpuMs.push(joins.cpuUs / 1000 / (subscribers + 1));
    }
    await server.call('stop');
  } finally {
    await Promise.all([load.stop(), server.stop()]);
  }
  const id = `sfu.fanout${String(subscribers)}.1200`;
  return [
    figure(`${id}.cpu_us`, 'µs per packet sent', summarize(cpuUs)),
    figure(`${id}.lost_percent`, '% lost', summarize(lostPercent)),
    figure('sfu.join.cpu_ms', 'ms of CPU per join', summarize(joinCpuMs)),
  ];
}
