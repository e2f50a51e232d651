/** Pages in Chromium that look at each other by the tunnel: whether they stay in the call, and how long a picture stands still. */
import type { Page } from 'playwright-core';
import { launchChromium, type Chromium } from '../e2e/chromium.ts';
import { joinByLink } from '../e2e/page-tools.ts';

export interface PagesReport {
  readonly pages: number;
  readonly inCall: number;
  /** The longest time without a new picture, of all of them since `begin`. */
  readonly stillMs: number;
}

declare global {
  /** Of the pages: when the main picture was another one last, and the longest that it was not. */
  var sallyportStill: { frames: number; at: number; longest: number } | undefined;
}

/** As much of a page as is looked at. */
interface PageWindow {
  readonly document: {
    querySelector(selector: string): { getVideoPlaybackQuality(): { readonly totalVideoFrames: number } } | null;
  };
}

export class Pages {
  readonly #chromium: Chromium;
  readonly #pages: readonly Page[];

  private constructor(chromium: Chromium, pages: readonly Page[]) {
    this.#chromium = chromium;
    this.#pages = pages;
  }

  /** One by each of these edges. */
  static async join(urls: readonly string[]): Promise<Pages> {
    const chromium = await launchChromium();
    try {
      const context = await chromium.context({ viewport: { width: 640, height: 480 } });
      const pages: Page[] = [];
      for (const [i, url] of urls.entries()) {
        pages.push(await joinByLink(context, url, `page${String(i)}`, 'pages', 'websocket'));
      }
      for (const page of pages) {
        await page.locator('#main-tile[data-picture=video]').waitFor();
        await page.evaluate(watchPicture);
      }
      return new Pages(chromium, pages);
    } catch (error) {
      await chromium.close();
      throw error;
    }
  }

  async begin(): Promise<void> {
    for (const page of this.#pages) {
      await page.evaluate(() => {
        globalThis.sallyportStill = { frames: 0, at: performance.now(), longest: 0 };
      });
    }
  }

  async report(): Promise<PagesReport> {
    const each = await Promise.all(
      this.#pages.map((page) =>
        page.evaluate(() => {
          const still = globalThis.sallyportStill;
          return {
            inCall: globalThis.sallyportCall?.closed === false,
            stillMs: still === undefined ? 0 : Math.max(still.longest, performance.now() - still.at),
          };
        }),
      ),
    );
    return {
      pages: each.length,
      inCall: each.filter(({ inCall }) => inCall).length,
      stillMs: Math.max(...each.map(({ stillMs }) => stillMs)),
    };
  }

  close(): Promise<void> {
    return this.#chromium.close();
  }
}

/** Runs in the page. */
function watchPicture(): void {
  const lookEveryMs = 20;
  const { document } = globalThis as unknown as PageWindow;
  setInterval(() => {
    const still = globalThis.sallyportStill;
    const shown = document.querySelector('#main-tile video')?.getVideoPlaybackQuality().totalVideoFrames;
    if (still === undefined || shown === undefined || shown === still.frames) return;
    const now = performance.now();
    still.longest = Math.max(still.longest, now - still.at);
    still.frames = shown;
    still.at = now;
  }, lookEveryMs);
}
