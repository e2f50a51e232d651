/** How much of a Node client's clip, sent by the tunnel, a real browser on UDP gets and decodes. */
import type { Page } from 'playwright-core';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, launchChromium } from '../e2e/chromium.ts';
import { publishClip } from '../e2e/node-tools.ts';
import { framesGrow, joinByLink } from '../e2e/page-tools.ts';
import { Scene } from './scene.ts';

const [mainVideo] = videoSlotMids;
const windowMs = 4000;

/** Shares, 0–1, of the frames that were sent meanwhile. */
export interface DecodedShares {
  readonly received: number;
  readonly decoded: number;
}

/** Null where there is no browser. */
export async function measureDecoding(progress: (text: string) => void): Promise<DecodedShares | null> {
  if (chromiumMissing !== false) {
    progress(`what a browser decodes is left out: ${chromiumMissing}`);
    return null;
  }
  return Scene.play(async (scene) => {
    const chromium = await launchChromium();
    scene.cleanUp(() => chromium.close());
    const page = await joinByLink(await chromium.context(), scene.edge.url, 'Ada', 'r');
    const grace = await scene.join({ room: 'r', name: 'Grace', rungs: ['websocket'] });
    const source = await publishClip(grace);
    scene.cleanUp(() => {
      source.stop();
    });
    await framesGrow(page, mainVideo, 25);
    const before = { sent: source.framesSent, ...(await frameCounts(page)) };
    await new Promise((resolve) => setTimeout(resolve, windowMs));
    const after = { sent: source.framesSent, ...(await frameCounts(page)) };
    const sent = after.sent - before.sent;
    return { received: (after.received - before.received) / sent, decoded: (after.decoded - before.decoded) / sent };
  });
}

/** Counted now by the browser itself; the call's own figures are up to a second old. */
function frameCounts(page: Page): Promise<DecodedShares> {
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
