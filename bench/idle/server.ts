/** The edge under test in a process of its own, with the SFU or with nothing in its place. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { TestEdge } from '../e2e/edge.ts';
import { startBenchEdge } from '../harness/bench-edge.ts';
import { startCpuMeter, type CpuReading } from '../harness/cpu-meter.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { createSinkSfu } from '../tunnel/sink-sfu.ts';

export interface MemoryReading {
  /** Of the process, as the system sees it. */
  readonly rssBytes: number;
  /** What is alive of objects. */
  readonly heapBytes: number;
  /** Of array buffers, which are not in the heap. */
  readonly bufferBytes: number;
}

let edge: TestEdge | null = null;
let endMeter: (() => CpuReading) | null = null;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

serveCommands({
  async start(sfu: 'sfu' | 'sink'): Promise<string> {
    edge = await startBenchEdge(sfu === 'sfu' ? {} : { createSfu: () => createSinkSfu() });
    return edge.url;
  },
  memory(): MemoryReading {
    collectGarbage();
    const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
    return { rssBytes: rss, heapBytes: heapUsed, bufferBytes: arrayBuffers };
  },
  /** Without a collection, which is what an operator sees. */
  rss(): number {
    return process.memoryUsage.rss();
  },
  begin(): void {
    endMeter = startCpuMeter();
  },
  end(): CpuReading {
    if (endMeter === null) throw new Error('end without begin');
    return endMeter();
  },
  /** Sessions that the edge itself counts. */
  async sessions(): Promise<number> {
    const metrics = (await edge?.metrics()) ?? '';
    let sessions = 0;
    for (const [, value] of metrics.matchAll(/^sallyport_sessions\{[^}]*\} (\d+)/gm)) sessions += Number(value);
    return sessions;
  },
});
