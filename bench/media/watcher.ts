/** What a subscriber's page sees of main, looked at every 50 ms inside the page; all of it runs in the browser. */
import type { Page } from 'playwright-core';

/** Since the watcher was last reset. */
export interface Seen {
  /** Of the picture decoded last, in pixels; 0 before the first. */
  readonly height: number;
  /** The longest time without another decoded frame, in ms, the present one included. */
  readonly longestGapMs: number;
  readonly frames: number;
  /** Of RTP payload. */
  readonly bytes: number;
  readonly packets: number;
  readonly lost: number;
  readonly keyFrameRequests: number;
}

interface Counts {
  framesDecoded: number;
  bytesReceived: number;
  packetsReceived: number;
  packetsLost: number;
  pliCount: number;
  frameHeight: number;
}

interface WatchingPage {
  sallyportCall: { readonly peer: RTCPeerConnectionLike; view(slots: readonly object[]): Promise<void> };
  mediaWatch: { reset(): void; read(): Seen };
}

interface RTCPeerConnectionLike {
  getStats(): Promise<Map<string, Record<string, unknown>>>;
}

export class MainWatcher {
  readonly #page: Page;

  private constructor(page: Page) {
    this.#page = page;
  }

  static async start(page: Page): Promise<MainWatcher> {
    await page.evaluate(watch);
    return new MainWatcher(page);
  }

  reset(): Promise<void> {
    return this.#page.evaluate(() => {
      (globalThis as unknown as WatchingPage).mediaWatch.reset();
    });
  }

  seen(): Promise<Seen> {
    return this.#page.evaluate(() => (globalThis as unknown as WatchingPage).mediaWatch.read());
  }

  view(slots: readonly { readonly mid: string; readonly layer: 'h' | 'l' | null }[]): Promise<void> {
    return this.#page.evaluate((wanted) => (globalThis as unknown as WatchingPage).sallyportCall.view(wanted), slots);
  }

  /** How long it takes until the picture is as wanted, in ms. Rejects after `patienceMs`. */
  async until(wanted: (seen: Seen) => boolean, what: string, patienceMs = 60_000): Promise<number> {
    const since = performance.now();
    for (;;) {
      const seen = await this.seen();
      const passed = performance.now() - since;
      if (wanted(seen)) return passed;
      if (passed > patienceMs) throw new Error(`no ${what} within ${String(patienceMs)} ms: ${JSON.stringify(seen)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Frames that a publisher has encoded of its largest picture. */
export async function framesEncoded(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const { peer } = (globalThis as unknown as WatchingPage).sallyportCall;
    let frames = 0;
    for (const report of (await peer.getStats()).values()) {
      if (report['type'] === 'outbound-rtp' && report['rid'] === 'h') frames += Number(report['framesEncoded'] ?? 0);
    }
    return frames;
  });
}

function watch(): void {
  const page = globalThis as unknown as WatchingPage;
  const mainMid = '3';
  let latest: Counts | null = null;
  let base: Counts | null = null;
  let frameAt = performance.now();
  let longest = 0;
  const look = async (): Promise<void> => {
    for (const report of (await page.sallyportCall.peer.getStats()).values()) {
      if (report['type'] !== 'inbound-rtp' || report['mid'] !== mainMid) continue;
      const number = (name: string): number => Number(report[name] ?? 0);
      const counts: Counts = {
        framesDecoded: number('framesDecoded'),
        bytesReceived: number('bytesReceived'),
        packetsReceived: number('packetsReceived'),
        packetsLost: number('packetsLost'),
        pliCount: number('pliCount'),
        frameHeight: number('frameHeight'),
      };
      const now = performance.now();
      if (latest !== null) longest = Math.max(longest, now - frameAt);
      if (latest?.framesDecoded !== counts.framesDecoded) frameAt = now;
      latest = counts;
      base ??= counts;
    }
  };
  // One look after the other: a busy browser answers late.
  const go = async (): Promise<void> => {
    for (;;) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  void go();
  page.mediaWatch = {
    reset: () => {
      base = latest;
      longest = 0;
      frameAt = performance.now();
    },
    read: () => ({
      height: latest?.frameHeight ?? 0,
      longestGapMs: longest,
      frames: (latest?.framesDecoded ?? 0) - (base?.framesDecoded ?? 0),
      bytes: (latest?.bytesReceived ?? 0) - (base?.bytesReceived ?? 0),
      packets: (latest?.packetsReceived ?? 0) - (base?.packetsReceived ?? 0),
      lost: (latest?.packetsLost ?? 0) - (base?.packetsLost ?? 0),
      keyFrameRequests: (latest?.pliCount ?? 0) - (base?.pliCount ?? 0),
    }),
  };
}
