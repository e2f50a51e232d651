/** A page without any code of Sallyport that publishes by WHIP, and plays recordings: see whip-page.js. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';

export interface WhipPublication {
  readonly room: string;
  readonly codec: 'vp8' | 'vp9' | 'h264' | 'av1';
  readonly simulcast?: boolean;
}

export interface Played {
  readonly width: number;
  readonly height: number;
  /** In seconds; what the player makes of it. */
  readonly duration: number;
  readonly frames: number;
  readonly error: string | null;
}

const script = readFileSync(path.join(import.meta.dirname, '../../../bench/e2e/whip-page.js'), 'utf8');

export class WhipPage {
  readonly #page: Page;

  private constructor(page: Page) {
    this.#page = page;
  }

  /** A blank document of the edge's origin. */
  static async open(context: BrowserContext, url: string): Promise<WhipPage> {
    const page = await context.newPage();
    await page.route(`${url}/blank`, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
    await page.goto(`${url}/blank`);
    await page.addScriptTag({ content: script });
    return new WhipPage(page);
  }

  publish(publication: WhipPublication): Promise<{ readonly etag: string; readonly link: string }> {
    return this.#page.evaluate(`whip.publish(${JSON.stringify(publication)})`);
  }

  restart(room: string): Promise<{ readonly before: string; readonly etag: string; readonly negotiated: string }> {
    return this.#page.evaluate(`whip.restart(${JSON.stringify(room)})`);
  }

  sendLarge(room: string, active: boolean): Promise<void> {
    return this.#page.evaluate(`whip.sendLarge(${JSON.stringify(room)}, ${String(active)})`);
  }

  /** Returns the status of DELETE. */
  end(room: string): Promise<number> {
    return this.#page.evaluate(`whip.end(${JSON.stringify(room)})`);
  }

  /** Plays a file from `from` seconds on. */
  async play(file: string, from = 0): Promise<Played> {
    const served = new URL(`/${path.basename(file)}`, this.#page.url()).href;
    await this.#page.route(served, (route) => route.fulfill({ contentType: 'video/webm', body: readFileSync(file) }));
    return this.#page.evaluate(`whip.play(${JSON.stringify(served)}, ${String(from)})`);
  }
}
