/** How old main's pictures are when a page shows them: reads the clock in them. {@link watchGlass} runs in the browser. */
import type { Page } from 'playwright-core';

interface WatchingPage {
  glassAges: number[];
  document: {
    querySelector(selector: string): Video | null;
    createElement(name: 'canvas'): Canvas;
  };
}

interface Video {
  requestVideoFrameCallback(callback: () => void): void;
}

interface Canvas {
  width: number;
  height: number;
  getContext(
    kind: '2d',
    options: { willReadFrequently: boolean },
  ): {
    drawImage(video: Video, ...numbers: number[]): void;
    getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
  };
}

/** Every fifth picture: reading them takes time from showing them. */
export async function watchGlass(page: Page): Promise<void> {
  await page.evaluate(() => {
    const scope = globalThis as unknown as WatchingPage;
    const bits = 16;
    const every = 5;
    scope.glassAges = [];
    const canvas = scope.document.createElement('canvas');
    canvas.width = bits;
    canvas.height = 1;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const video = scope.document.querySelector('#main-tile video');
    if (video === null) throw new Error('main has no picture');
    let shown = 0;
    const look = (): void => {
      video.requestVideoFrameCallback(look);
      if (shown++ % every !== 0) return;
      const now = Math.round(performance.timeOrigin + performance.now()) & 0xffff;
      context.drawImage(video, 0, 8, 640, 24, 0, 0, bits, 1);
      const { data } = context.getImageData(0, 0, bits, 1);
      let time = 0;
      for (let bit = 0; bit < bits; bit++) time = time * 2 + ((data[bit * 4] ?? 0) > 127 ? 1 : 0);
      scope.glassAges.push((now - time) & 0xffff);
    };
    look();
  });
}

/** In ms, ascending; of all pictures that were looked at since. */
export async function glassAges(page: Page): Promise<readonly number[]> {
  const ages = await page.evaluate(() => (globalThis as unknown as WatchingPage).glassAges);
  return ages.sort((a, b) => a - b);
}
