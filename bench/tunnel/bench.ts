/** The tunnel's rungs: what a datagram costs the gateway, how many bytes it takes on the wire, and how late it arrives. */
import type { BenchOptions } from '../benches.ts';
import type { Figure } from '../harness/result-file.ts';
import { measureCost } from './cost.ts';
import { measureLatency } from './latency.ts';
import { measureWire } from './wire.ts';

export async function benchTunnel(options: BenchOptions): Promise<readonly Figure[]> {
  return [...(await measureCost(options)), ...(await measureWire(options)), ...(await measureLatency(options))];
}
