/** The edge under test, with a sink in the SFU's place, in a process of its own. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { TestEdge } from '../e2e/edge.ts';
import { startBenchEdge } from '../harness/bench-edge.ts';
import { startCpuMeter, type CpuReading } from '../harness/cpu-meter.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { createSinkSfu } from './sink-sfu.ts';

const sink = createSinkSfu();
let edge: TestEdge | null = null;
let endMeter: (() => CpuReading) | null = null;
let sending: NodeJS.Timeout | null = null;

export interface TunnelServerReading extends CpuReading {
  readonly received: number;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

serveCommands({
  async start(): Promise<string> {
    edge = await startBenchEdge({ createSfu: () => sink });
    return edge.url;
  },
  /** Bytes of heap in use after a collection. */
  heap(): number {
    collectGarbage();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  },
  tunnels(): number {
    return sink.paths.size;
  },
  begin(): void {
    sink.received = 0;
    endMeter = startCpuMeter();
  },
  end(): TunnelServerReading {
    if (endMeter === null) throw new Error('end without begin');
    return { ...endMeter(), received: sink.received };
  },
  startSending({ bytes, count, intervalMs }: { bytes: number; count: number; intervalMs: number }): void {
    sending = setInterval(() => {
      sink.sendOnAll(bytes, count);
    }, intervalMs);
  },
  stopSending(): void {
    if (sending !== null) clearInterval(sending);
    sending = null;
  },
  async stop(): Promise<void> {
    await edge?.close();
  },
});
