/** Headless Chromium pages, each with a peer connection of the fixed shape (testdata/peer.js). */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { testdata } from './testdata.ts';

const executable = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** Why tests with Chromium cannot run here; false when they can. Never a reason where CI is to run them. */
export const chromiumMissing: string | false =
  existsSync(executable) || process.env['CI'] === 'true' ? false : `${executable} is not installed`;

/** Against waiting for ever: a machine that does other work besides decodes slowly. */
const patienceMs = 40_000;

export interface InboundStats {
  readonly framesDecoded?: number;
  readonly framesDropped?: number;
  readonly framesReceived?: number;
  readonly keyFramesDecoded?: number;
  readonly frameHeight?: number;
  readonly freezeCount?: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  readonly packetsDiscarded?: number;
  readonly pliCount?: number;
  readonly nackCount?: number;
  readonly retransmittedPacketsReceived?: number;
  readonly ssrc: number;
  readonly totalSamplesReceived?: number;
  readonly concealedSamples?: number;
  readonly estimatedPlayoutTimestamp?: number;
}

export interface PeerStats {
  /** By mid. */
  readonly inbound: Readonly<Record<string, InboundStats>>;
  readonly outbound: readonly { readonly kind: string; readonly rid?: string; readonly packetsSent: number }[];
  readonly pair: { readonly currentRoundTripTime?: number } | null;
}

export interface PeerOptions {
  readonly camera: boolean;
  readonly simulcast?: boolean;
  readonly screen?: boolean;
}

export class PeerPage {
  readonly #page: Page;

  constructor(page: Page) {
    this.#page = page;
  }

  offer(options: { readonly iceRestart?: boolean } = {}): Promise<string> {
    return this.#page.evaluate(`peer.offer(${JSON.stringify(options)})`);
  }

  answer(sdp: string): Promise<void> {
    return this.#page.evaluate(`peer.answer(${JSON.stringify(sdp)})`);
  }

  connected(): Promise<void> {
    return this.#page.evaluate('peer.connected()');
  }

  stats(): Promise<PeerStats> {
    return this.#page.evaluate('peer.stats()');
  }

  evaluate<T>(expression: string): Promise<T> {
    return this.#page.evaluate(expression);
  }

  /** Resolves with the first statistics that satisfy; rejects, with the last ones, when none do for a long time. */
  async statsUntil(wanted: (stats: PeerStats) => boolean): Promise<PeerStats> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const stats = await this.stats();
      if (wanted(stats)) return stats;
      if (performance.now() > deadline)
        throw new Error(`not within ${String(patienceMs)} ms: ${JSON.stringify(stats.inbound)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  close(): Promise<void> {
    return this.#page.close();
  }
}

export interface ChromiumBrowser {
  open(options: PeerOptions): Promise<PeerPage>;
  close(): Promise<void>;
}

export async function launchChromium(): Promise<ChromiumBrowser> {
  const script = readFileSync(testdata('peer.js'));
  const server = createServer((request, response) => {
    const isScript = request.url === '/peer.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script : '<!doctype html><script src="/peer.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`;
  const browser: Browser = await chromium.launch({
    executablePath: executable,
    args: [
      '--no-sandbox',
      '--use-fake-device-for-media-stream=fps=25',
      '--use-fake-ui-for-media-stream',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--autoplay-policy=no-user-gesture-required',
      '--allow-loopback-in-peer-connection',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    ],
  });
  return {
    open: async (options) => {
      const page = await browser.newPage();
      await page.goto(url);
      await page.evaluate(`openPeer(${JSON.stringify(options)})`);
      return new PeerPage(page);
    },
    close: async () => {
      await browser.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
