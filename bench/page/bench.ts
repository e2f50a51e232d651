/**
 * What the demo page's calls are like in Chromium, in the lab's namespaces: on the WebSocket rung for a minute, when UDP dies, and
 * between two networks. Needs Linux, root and nft; for two networks nginx and openssl too.
 */
import type { BenchOptions } from '../benches.ts';
import type { Figure } from '../harness/result-file.ts';
import { figure } from '../harness/result-file.ts';
import { percentile, summarize } from '../harness/statistics.ts';
import { measureUdpDeath } from './udp-dies.ts';
import { measureTwoNetworks } from './two-networks.ts';
import { measureWebSocket } from './websocket.ts';

/** Frames per second have to be no less, all else no more. */
const targets: Readonly<Record<string, { readonly value: number; readonly unit: string }>> = {
  'page.websocket.decoded_fps': { value: 24, unit: 'fps' },
  'page.websocket.glass_p50_ms': { value: 250, unit: 'ms' },
  'page.websocket.glass_p95_ms': { value: 250, unit: 'ms' },
  'page.websocket.concealed_percent': { value: 1, unit: '%' },
  'page.websocket.cpu_percent': { value: 70, unit: '%' },
  'page.websocket.renderer_cpu_percent': { value: 70, unit: '%' },
  'page.two-networks.open_decoded_fps': { value: 24, unit: 'fps' },
  'page.two-networks.long-poll_decoded_fps': { value: 24, unit: 'fps' },
  'page.two-networks.open_silence_ms': { value: 1_000, unit: 'ms' },
  'page.two-networks.long-poll_silence_ms': { value: 1_000, unit: 'ms' },
};
const deathTargetMs = 1_500;
/** A p95 takes more than runs of a minute do. */
const deathsPerRun = 2;

const parts = { websocket: measureWebSocket, 'two-networks': measureTwoNetworks } as const;

export async function benchPage({ runs, only, progress }: BenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  const wanted = (name: string): boolean => only === null || only.includes(name);
  for (const [name, measure] of Object.entries(parts)) {
    if (!wanted(name)) continue;
    const results: Readonly<Record<string, number>>[] = [];
    for (let run = 1; run <= runs; run++) {
      progress(`${name}, run ${String(run)} of ${String(runs)}`);
      const result = await measure(progress);
      progress(JSON.stringify(result));
      results.push(result);
    }
    for (const id of Object.keys(results[0] ?? {})) {
      const { value: target = NaN, unit = '' } = targets[id] ?? {};
      figures.push(beside(figure(id, unit, summarize(results.map((result) => result[id] ?? NaN))), target));
    }
  }
  if (wanted('udp-dies')) {
    const gaps = [...(await measureUdpDeath(runs * deathsPerRun, progress))].sort((a, b) => a - b);
    const spread = [gaps[0] ?? NaN, gaps.at(-1) ?? NaN] as const;
    figures.push(figure('page.udp-dies.silence_p50_ms', 'ms', summarize(gaps)));
    const p95 = { median: percentile(gaps, 0.95), spread };
    figures.push(beside(figure('page.udp-dies.silence_p95_ms', 'ms', p95), deathTargetMs));
  }
  return figures;
}

function beside(ours: Figure, target: number): Figure {
  return { ...ours, against: { name: 'target', value: target }, ratio: Number((ours.value / target).toPrecision(3)) };
}
