/** What a trunk costs: CPU time of the edge's and of the SFU node's process per datagram of 1200 bytes, each way. */
import type { BenchOptions } from '../benches.ts';
import type { CpuReading } from '../harness/cpu-meter.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker } from '../harness/worker-process.ts';

const bytes = 1200;
/** Of one turn of the event loop, and how often. */
const batch = 64;
const intervalMs = 2;
const durationMs = 4000;
const flows = 100;

interface Reading extends CpuReading {
  readonly datagrams: number;
}

export async function benchTrunk({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const node = startWorker(new URL('./node.js', import.meta.url), 0);
  const edge = startWorker(new URL('./edge.js', import.meta.url), 1);
  const samples: Record<'down' | 'up', { readonly sender: number[]; readonly receiver: number[] }> = {
    down: { sender: [], receiver: [] },
    up: { sender: [], receiver: [] },
  };
  try {
    const port = (await node.call('start')) as number;
    await edge.call('connect', { port, flows });
    for (let run = 0; run <= runs; run++) {
      progress(run === 0 ? 'warm-up' : `run ${String(run)} of ${String(runs)}`);
      for (const direction of ['down', 'up'] as const) {
        const [sender, receiver] = direction === 'down' ? [node, edge] : [edge, node];
        await receiver.call('begin');
        const sent = (await sender.call('send', { bytes, batch, intervalMs, durationMs })) as Reading;
        const received = (await receiver.call('end', sent.datagrams)) as Reading;
        if (received.datagrams < sent.datagrams) throw new Error(`${String(sent.datagrams - received.datagrams)} lost`);
        if (run === 0) continue;
        samples[direction].sender.push(sent.cpuUs / sent.datagrams);
        samples[direction].receiver.push(received.cpuUs / received.datagrams);
      }
    }
  } finally {
    await Promise.all([edge.stop(), node.stop()]);
  }
  const unit = 'µs of CPU per datagram';
  return [
    figure('trunk.down.1200.node_cpu_us', unit, summarize(samples.down.sender)),
    figure('trunk.down.1200.edge_cpu_us', unit, summarize(samples.down.receiver)),
    figure('trunk.up.1200.edge_cpu_us', unit, summarize(samples.up.sender)),
    figure('trunk.up.1200.node_cpu_us', unit, summarize(samples.up.receiver)),
  ];
}
