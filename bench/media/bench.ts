/**
 * What a subscriber sees while its picture is resized, its downlink is throttled (tbf), and packets to it are lost: two
 * Chromium pages and a real edge in network namespaces. Needs Linux, root, tc and nft.
 */
import type { BenchOptions } from '../benches.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { ChromiumClient } from '../lab/chromium-client.ts';
import { startLabEdge } from '../lab/lab-edge.ts';
import { clientAddress, withNamespaces, type Lab } from '../lab/namespaces.ts';
import { framesEncoded, MainWatcher } from './watcher.ts';

const camera = 'bench/media/restless-camera.js';
/** What is left of the downlink while it is throttled, of what the large picture and sound took: enough for a small one. */
const throttledPart = 0.5;
const measuredMs = 5000;
const throttledMs = 15_000;
/** Beside video. */
const audioKbit = 50;
const lossPercent = 5;
const lossMs = 60_000;
/** The small picture has this height at most. */
const smallHeight = 180;
const joinTimeoutMs = 60_000;
const main = '3';

const units = {
  'media.resize.down_ms': 'ms',
  'media.resize.up_ms': 'ms',
  'media.resize.longest_gap_ms': 'ms',
  'media.throttle.down_ms': 'ms',
  'media.throttle.up_ms': 'ms',
  'media.throttle.longest_gap_ms': 'ms',
  'media.loss5.visible_percent': '%',
  'media.loss5.longest_gap_ms': 'ms',
  'media.loss5.lost_on_the_way_percent': '%',
} as const;
type FigureId = keyof typeof units;
type Run = Record<FigureId, number>;

export async function benchMedia({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const results: Run[] = [];
  for (let run = 1; run <= runs; run++) {
    progress(`run ${String(run)} of ${String(runs)}`);
    const result = await withNamespaces({}, (lab) => measure(lab, progress));
    progress(JSON.stringify(result));
    results.push(result);
  }
  return (Object.keys(units) as FigureId[]).map((id) =>
    figure(id, units[id], summarize(results.map((result) => result[id]))),
  );
}

async function measure(lab: Lab, progress: (text: string) => void): Promise<Run> {
  const edge = await startLabEdge(lab);
  // The publisher is outside of what is throttled.
  const publisher = await ChromiumClient.launch({ ...lab, client: lab.router }, edge, null, camera);
  const subscriber = await ChromiumClient.launch(lab, edge);
  try {
    await publisher.join('media', joinTimeoutMs);
    await subscriber.join('media', joinTimeoutMs);
    const watcher = await MainWatcher.start(subscriber.page);
    const isSmall = ({ height }: { readonly height: number }): boolean => height > 0 && height <= smallHeight;
    const isLarge = ({ height }: { readonly height: number }): boolean => height > smallHeight;
    await watcher.until(isLarge, 'large picture');
    await watcher.reset();
    await pause(measuredMs);
    const bitrate = ((await watcher.seen()).bytes * 8000) / measuredMs;
    progress(`the large picture takes ${String(Math.round(bitrate / 1000))} kbit/s; resized`);
    await watcher.reset();
    await watcher.view([{ mid: main, layer: 'l' }]);
    const resizeDown = await watcher.until(isSmall, 'small picture');
    await pause(3000);
    await watcher.view([]);
    const resizeUp = await watcher.until(isLarge, 'large picture');
    await pause(3000);
    const resized = await watcher.seen();

    progress('throttled');
    await watcher.reset();
    await throttle(lab, `${String(Math.round((bitrate * throttledPart) / 1000) + audioKbit)}kbit`);
    const throttleDown = await watcher.until(isSmall, 'small picture');
    await pause(throttledMs);
    await throttle(lab, null);
    const throttleUp = await watcher.until(isLarge, 'large picture', 90_000);
    await pause(3000);
    const throttled = await watcher.seen();

    progress('with losses');
    await lab.setFirewall(losses);
    await pause(5000);
    await watcher.reset();
    const before = await framesEncoded(publisher.page);
    await pause(lossMs);
    const lossy = await watcher.seen();
    const encoded = (await framesEncoded(publisher.page)) - before;
    await lab.setFirewall('');
    return {
      'media.resize.down_ms': resizeDown,
      'media.resize.up_ms': resizeUp,
      'media.resize.longest_gap_ms': resized.longestGapMs,
      'media.throttle.down_ms': throttleDown,
      'media.throttle.up_ms': throttleUp,
      'media.throttle.longest_gap_ms': throttled.longestGapMs,
      'media.loss5.visible_percent': Math.max(0, 100 * (1 - lossy.frames / encoded)),
      'media.loss5.longest_gap_ms': lossy.longestGapMs,
      'media.loss5.lost_on_the_way_percent': (100 * lossy.lost) / (lossy.lost + lossy.packets),
    };
  } finally {
    await subscriber.close();
    await publisher.close();
  }
}

/** Media towards the subscriber, whichever packet it is. */
const losses = `table ip bench {
  chain forward {
    type filter hook forward priority 0;
    ip daddr ${clientAddress} udp sport 443 numgen random mod 100 < ${String(lossPercent)} counter drop
  }
}`;

/** The downlink's rate; null takes the limit away. */
async function throttle(lab: Lab, rate: string | null): Promise<void> {
  const limit = rate === null ? ['pfifo'] : ['tbf', 'rate', rate, 'burst', '8kb', 'latency', '250ms'];
  await lab.router.run(['tc', 'qdisc', 'replace', 'dev', 'inside', 'root', ...limit]);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
