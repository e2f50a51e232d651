/** How exact the emulated link of the lab is, and what a packet costs it: measured from outside, by UDP. */
import type { BenchOptions } from '../benches.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { percentile, summarize } from '../harness/statistics.ts';
import { missingNeed } from './lab-missing.ts';
import { headerBytes, probe, withProbes } from './testing/link-probes.ts';
import type { ArrivalReading } from './testing/udp-probe.ts';

const bytes = 1_200;
const lossCount = 8_000;

interface Loss {
  readonly up: number;
  readonly down: number;
  readonly cpuUs: number;
}

export async function benchLink({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const missing = missingNeed();
  if (missing !== false) throw new Error(`this bench needs network namespaces: ${missing}`);
  const roundTrips: number[] = [];
  const losses: Loss[] = [];
  const rates: number[] = [];
  for (let run = 1; run <= runs; run++) {
    progress(`run ${String(run)} of ${String(runs)}`);
    roundTrips.push(await roundTrip());
    losses.push(await loss());
    rates.push(await rate());
  }
  const ofLosses = (of: keyof Loss): number[] => losses.map((each) => each[of]);
  return [
    figure('link.delay25.round_trip_p50_ms', 'ms', summarize(roundTrips)),
    figure('link.loss2.up_percent', '% lost', summarize(ofLosses('up'))),
    figure('link.loss2.down_percent', '% lost', summarize(ofLosses('down'))),
    figure('link.rate5000.megabits', 'Mbit/s of twice as much', summarize(rates)),
    figure('link.cpu_us', "µs of CPU per packet, the network stack's part included", summarize(ofLosses('cpuUs'))),
  ];
}

function roundTrip(): Promise<number> {
  return withProbes('delay=25', true, async (near) => {
    const all = await probe(near, { count: 100, bytes: 100, burst: 1, intervalMs: 4 });
    return percentile(
      [...all].sort((a, b) => a - b),
      0.5,
    );
  });
}

function loss(): Promise<Loss> {
  return withProbes('loss=2', true, async (near, far, lab) => {
    const { length } = await probe(near, { count: lossCount, bytes, burst: 20, intervalMs: 8 });
    const { count } = (await far.call('arrivals')) as ArrivalReading;
    const statistics = await lab.endLink();
    return {
      up: (1 - count / lossCount) * 100,
      down: (1 - length / count) * 100,
      cpuUs: statistics?.cpuUsPerPacket ?? NaN,
    };
  });
}

function rate(): Promise<number> {
  return withProbes('rate=5000,queue=2000000', false, async (near, far) => {
    await probe(near, { count: 1_000, bytes, burst: 10, intervalMs: 10 });
    const { count, ms } = (await far.call('arrivals')) as ArrivalReading;
    return ((count - 1) * (bytes + headerBytes) * 8) / (ms * 1_000);
  });
}
