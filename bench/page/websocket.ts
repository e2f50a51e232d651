/** Two pages on the WebSocket rung, a browser each, with cameras of 640×360 at 25 frames a second, for a minute. */
import type { Page } from 'playwright-core';
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import { percentile } from '../harness/statistics.ts';
import { ChromiumClient } from '../lab/chromium-client.ts';
import { startLabEdge } from '../lab/lab-edge.ts';
import { withNamespaces } from '../lab/namespaces.ts';
import { glassAges, watchGlass } from './glass.ts';

export const clockCamera = 'bench/page/clock-camera.js';
const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;
const patienceMs = 30_000;
const settleMs = 5_000;
const measuredMs = 60_000;

interface Counts {
  readonly at: number;
  readonly frames: number;
  readonly audioSamples: number;
  readonly concealedSamples: number;
  /** Of all processes of the browser, and of those that run pages; seconds. */
  readonly cpuS: number;
  readonly rendererCpuS: number;
}

export async function measureWebSocket(progress: (text: string) => void): Promise<Readonly<Record<string, number>>> {
  return withNamespaces({}, async (lab) => {
    const edge = await startLabEdge(lab);
    const other = await ChromiumClient.launch({ ...lab, client: lab.router }, edge, null, clockCamera);
    const client = await ChromiumClient.launch(lab, edge, null, clockCamera);
    try {
      await other.join('page', patienceMs, 'websocket');
      await client.join('page', patienceMs, 'websocket');
      const { page } = client;
      await page.locator('#main-tile[data-picture=video] video').waitFor({ timeout: patienceMs });
      await pause(settleMs);
      await watchGlass(page);
      const before = await countsOf(page);
      progress(`measuring for ${String(measuredMs / 1_000)} s`);
      await pause(measuredMs);
      const after = await countsOf(page);
      const ages = await glassAges(page);
      const seconds = (after.at - before.at) / 1_000;
      const samples = after.audioSamples - before.audioSamples;
      return {
        'page.websocket.decoded_fps': (after.frames - before.frames) / seconds,
        'page.websocket.glass_p50_ms': percentile(ages, 0.5),
        'page.websocket.glass_p95_ms': percentile(ages, 0.95),
        'page.websocket.concealed_percent': (100 * (after.concealedSamples - before.concealedSamples)) / samples,
        'page.websocket.cpu_percent': (100 * (after.cpuS - before.cpuS)) / seconds,
        'page.websocket.renderer_cpu_percent': (100 * (after.rendererCpuS - before.rendererCpuS)) / seconds,
      };
    } finally {
      await Promise.allSettled([client.close(), other.close()]);
    }
  });
}

async function countsOf(page: Page): Promise<Counts> {
  const tracks = await page.evaluate(() => globalThis.sallyportCall?.tunnel?.stats ?? []);
  const video = tracks.find(({ mid, direction }) => mid === mainVideo && direction === 'receive');
  const audio = tracks.find(({ mid, direction }) => mid === mainAudio && direction === 'receive');
  const session = await page.context().browser()?.newBrowserCDPSession();
  const { processInfo = [] } = (await session?.send('SystemInfo.getProcessInfo')) ?? {};
  await session?.detach();
  const sum = (of: typeof processInfo): number => of.reduce((total, { cpuTime }) => total + cpuTime, 0);
  return {
    at: performance.now(),
    frames: video?.frames ?? 0,
    audioSamples: audio?.audioSamples ?? 0,
    concealedSamples: audio?.concealedSamples ?? 0,
    cpuS: sum(processInfo),
    rendererCpuS: sum(processInfo.filter(({ type }) => type === 'renderer')),
  };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
