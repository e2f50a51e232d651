/** How much of a Node client's clip, sent by the tunnel, a real browser gets and decodes; and what comes back. */
import { cpus } from 'node:os';
import t from 'tap';
import type { Page } from 'playwright-core';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { IvfRecorder, loadClip } from '../../client/index.ts';
import type { ClipSource } from '../../client/index.ts';
import { chromiumMissing, launchChromium } from './chromium.ts';
import { packetsOf, publishClip, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';
import { framesGrow, joinByLink } from './page-tools.ts';

const [mainVideo] = videoSlotMids;
const windowMs = 2000;
/** Of the frames sent in a window. What is received and not decoded yet at its ends is what may be missing. */
const least = { received: 0.9, decoded: 0.8 };
/** A window that falls short counts unless something else left this machine less idle time than this; then it is repeated. */
const leastIdle = 0.2;
const maxWindows = 6;

t.setTimeout(testTimeoutMs);

interface FrameCounts {
  readonly received: number;
  readonly decoded: number;
}

/** Counted now by the browser itself; the call's own figures are up to a second old. */
async function frameCounts(page: Page): Promise<FrameCounts> {
  return page.evaluate(async (wanted) => {
    interface InboundStats {
      readonly type: string;
      readonly mid?: string;
      readonly framesReceived?: number;
      readonly framesDecoded?: number;
    }
    const peer = globalThis.sallyportCall?.peer as unknown as { getStats(): Promise<Map<string, InboundStats>> };
    for (const { type, mid, framesReceived = 0, framesDecoded = 0 } of (await peer.getStats()).values()) {
      if (type === 'inbound-rtp' && mid === wanted) return { received: framesReceived, decoded: framesDecoded };
    }
    return { received: 0, decoded: 0 };
  }, mainVideo);
}

interface Window extends FrameCounts {
  /** 0–1 of the time of all processors. */
  readonly idle: number;
}

/** Shares of the frames that were sent meanwhile. */
async function measure(page: Page, source: ClipSource): Promise<Window> {
  const before = { sent: source.framesSent, cpu: cpuTimes(), ...(await frameCounts(page)) };
  await new Promise((resolve) => setTimeout(resolve, windowMs));
  const after = { sent: source.framesSent, cpu: cpuTimes(), ...(await frameCounts(page)) };
  const sent = after.sent - before.sent;
  return {
    received: (after.received - before.received) / sent,
    decoded: (after.decoded - before.decoded) / sent,
    idle: (after.cpu.idle - before.cpu.idle) / (after.cpu.all - before.cpu.all),
  };
}

function cpuTimes(): { readonly idle: number; readonly all: number } {
  let idle = 0;
  let all = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    all += Object.values(times).reduce((sum, ms) => sum + ms, 0);
  }
  return { idle, all };
}

function isWhole({ received, decoded }: FrameCounts): boolean {
  return received >= least.received && decoded >= least.decoded;
}

t.test('a tab on UDP and a Node client on the tunnel', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t);
  const chromium = await launchChromium();
  cleanUp(() => chromium.close());
  const page = await joinByLink(await chromium.context(), edge.url, 'Ada', 'r');
  const grace = await joined(edge.url, { room: 'r', name: 'Grace', rungs: ['websocket'] });

  await t.test('the tab gets the clip whole, and decodes it', async (t) => {
    const source = await publishClip(grace);
    cleanUp(() => {
      source.stop();
    });
    await framesGrow(page, mainVideo, 25);
    const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
    let window = await measure(page, source);
    for (let i = 1; i < maxWindows && !isWhole(window) && window.idle < leastIdle; i++) {
      t.comment(`${percent(window.decoded)} decoded while this machine was ${percent(window.idle)} idle: again`);
      window = await measure(page, source);
    }
    t.ok(window.received >= least.received, `received ${percent(window.received)} of the frames sent`);
    t.ok(window.decoded >= least.decoded, `decoded ${percent(window.decoded)} of the frames sent`);
    t.comment(`this machine was ${percent(window.idle)} idle`);
  });

  await t.test('the Node client records the fake camera: whole frames, beginning at a key frame', async (t) => {
    const file = `${t.testdir()}/camera.ivf`;
    const recorder = await IvfRecorder.open(file);
    const track = await trackOf(grace, mainVideo);
    recorder.record(track, () => {
      grace.requestKeyFrame(mainVideo);
    });
    while (recorder.frames < 20) await packetsOf(track, 5);
    await recorder.close();
    const { video } = await loadClip([file]);
    t.ok((video?.frames.length ?? 0) >= 20);
    t.ok((video?.width ?? 0) >= 160, `${String(video?.width)} × ${String(video?.height)}`);
    t.equal(video?.frames[0]?.keyFrame, true);
  });
});
