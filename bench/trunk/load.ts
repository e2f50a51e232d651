/** What both ends of the bench do: send in batches, count, and read the CPU time. */
import { lane, type SendMeta } from '../../tunnel-protocol/index.ts';
import { startCpuMeter, type CpuReading } from '../harness/cpu-meter.ts';

export const secret = 'what the two ends of a bench share';

export interface SendOrder {
  readonly bytes: number;
  readonly batch: number;
  readonly intervalMs: number;
  readonly durationMs: number;
}

export interface Reading extends CpuReading {
  readonly datagrams: number;
}

const stockDatagrams = 1024;
/** How long the last ones may be under way. */
const arrivalMs = 10_000;

/** Calls `sendOne` so often; datagrams come from a stock, as from an SFU that has just encrypted them. */
export async function sendInBatches(
  { bytes, batch, intervalMs, durationMs }: SendOrder,
  sendOne: (datagram: Uint8Array, index: number, meta: SendMeta) => void,
): Promise<Reading> {
  const slab = new Uint8Array(stockDatagrams * bytes).fill(0x80);
  const stock = Array.from({ length: stockDatagrams }, (_, i) => slab.subarray(i * bytes, (i + 1) * bytes));
  const end = startCpuMeter();
  const startedAt = performance.now();
  let datagrams = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      // Eight packets are a frame.
      for (let i = 0; i < batch; i++) {
        const frameId = 1 + (datagrams >> 3);
        const meta = { lane: lane.video, frameId, keyFrame: false, discardable: false, deadlineMs: 5000 } as const;
        sendOne(stock[datagrams % stockDatagrams] as Uint8Array, datagrams, meta);
        datagrams++;
      }
      if (performance.now() - startedAt < durationMs) return;
      clearInterval(timer);
      resolve();
    }, intervalMs);
  });
  return { ...end(), datagrams };
}

/** Counts what comes between `begin` and `end`. */
export class Arrivals {
  count = 0;
  #meter: (() => CpuReading) | null = null;

  begin(): void {
    this.count = 0;
    this.#meter = startCpuMeter();
  }

  async end(expected: number): Promise<Reading> {
    const deadline = performance.now() + arrivalMs;
    while (this.count < expected && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    if (this.#meter === null) throw new Error('end without begin');
    return { ...this.#meter(), datagrams: this.count };
  }
}
