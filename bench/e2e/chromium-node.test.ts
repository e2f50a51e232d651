/** How much of a Node client's clip, sent by the tunnel, a real browser gets and decodes; and what comes back. */
import t from 'tap';
import type { Page } from 'playwright-core';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { IvfRecorder, loadClip } from '../../client/index.ts';
import type { ClipSource } from '../../client/index.ts';
import { chromiumMissing, launchChromium } from './chromium.ts';
import { packetsOf, publishClip, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';
import { framesGrow, joinByLink } from './page-tools.ts';

const [mainVideo] = videoSlotMids;
/** Windows of two seconds that are tried: a machine that is busy with something else decodes less for a while. */
const windows = 6;
const windowMs = 2000;

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

/** Shares of the frames that were sent meanwhile. */
async function measure(page: Page, source: ClipSource): Promise<FrameCounts> {
  const before = { sent: source.framesSent, ...(await frameCounts(page)) };
  await new Promise((resolve) => setTimeout(resolve, windowMs));
  const after = { sent: source.framesSent, ...(await frameCounts(page)) };
  const sent = after.sent - before.sent;
  return { received: (after.received - before.received) / sent, decoded: (after.decoded - before.decoded) / sent };
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
    let best: FrameCounts = { received: 0, decoded: 0 };
    for (let i = 0; i < windows && best.decoded < 0.8; i++) {
      const { received, decoded } = await measure(page, source);
      best = { received: Math.max(best.received, received), decoded: Math.max(best.decoded, decoded) };
    }
    const percent = (share: number): string => `${(share * 100).toFixed(0)} % of the frames sent`;
    t.ok(best.received >= 0.9, `received ${percent(best.received)}`);
    t.ok(best.decoded >= 0.8, `decoded ${percent(best.decoded)}`);
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
