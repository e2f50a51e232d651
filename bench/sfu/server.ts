/** The whole edge, SFU included, in a process of its own. */
import type { TestEdge } from '../e2e/edge.ts';
import { startBenchEdge } from '../harness/bench-edge.ts';
import { collectGarbage } from '../harness/collect-garbage.ts';
import { startCpuMeter, type CpuReading } from '../harness/cpu-meter.ts';
import { serveCommands } from '../harness/worker-process.ts';

let edge: TestEdge | null = null;
let endMeter: (() => CpuReading) | null = null;

serveCommands({
  async start(): Promise<string> {
    edge = await startBenchEdge();
    return edge.url;
  },
  begin(): void {
    endMeter = startCpuMeter();
  },
  end(): CpuReading {
    if (endMeter === null) throw new Error('end without begin');
    return endMeter();
  },
  /** Bytes that stay when garbage was collected. */
  rss(): number {
    collectGarbage();
    return process.memoryUsage().rss;
  },
  async stop(): Promise<void> {
    await edge?.close();
  },
});
