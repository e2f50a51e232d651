/** What a relayed packet costs the server, by one window of load. */
import type { WorkerProcess } from '../harness/worker-process.ts';
import type { LoadReading } from './load.ts';
import { processCpuUs } from './process-cpu.ts';

export interface RelayWindow {
  /** Of the clients, as they were connected. */
  readonly name: string;
  /** What the server consists of. */
  readonly pids: readonly number[];
  readonly bytes: number;
  /** Packets that a client sends at once. */
  readonly burst: number;
}

/** Between two packets of a client. */
const intervalMs = 5;
const windowMs = 1000;
/** Windows in which more is lost say nothing about cost. */
const maxLostShare = 0.02;
const maxAttempts = 4;

/** CPU µs of the processes per packet that went through, there and back. Rejects when too many are lost again and again. */
export async function relayedPacketUs(
  load: WorkerProcess,
  { name, pids, bytes, burst }: RelayWindow,
  progress: (text: string) => void,
): Promise<number> {
  const shape = { bytes, burst, intervalMs: intervalMs * burst, durationMs: windowMs };
  for (let attempt = 1; ; attempt++) {
    const before = cpuOf(pids);
    const { sent, received } = (await load.call('send', { name, shape })) as LoadReading;
    const used = cpuOf(pids) - before;
    // More than was sent is the rest of a window before.
    if (Math.abs(sent - received) <= sent * maxLostShare) return used / (sent + received);
    if (attempt === maxAttempts) throw new Error(`${name} lost ${String(sent - received)} of ${String(sent)}`);
    progress(`${name} lost ${String(sent - received)} of ${String(sent)}: again`);
  }
}

function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + processCpuUs(pid), 0);
}
