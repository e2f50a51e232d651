/** A headless Chromium with a fake camera and microphone, offline but for this machine, for tests and screenshots. */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';

/** The browser that is started unless something else is named. */
export const chromiumExecutable = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
];

/** Why tests with Chromium cannot run here, or false. Under CI a missing browser is a failure, not a skip. */
export const chromiumMissing: string | false =
  existsSync(chromiumExecutable) || process.env['CI'] === 'true'
    ? false
    : `no Chromium at ${chromiumExecutable} (or in $CHROMIUM)`;

export interface Chromium {
  /** Tabs of one context share storage, as a user's do. A self-signed certificate is accepted. */
  context(options?: BrowserContextOptions): Promise<BrowserContext>;
  /** Ends the browser and all its processes, and removes its profile. Idempotent. */
  close(): Promise<void>;
}

export interface ChromiumOptions {
  /** Of the fake camera; 10 if absent, which spares machines with few cores. */
  readonly framesPerSecond?: number;
  readonly flags?: readonly string[];
  /** SPKI pins of certificates to take, for what a context's `ignoreHTTPSErrors` does not reach, such as `turns:`. */
  readonly pins?: readonly string[];
  /** A program to start in the browser's place; it ends by executing the browser with its own arguments. */
  readonly executable?: string;
}

/** Rejects when there is no Chromium. Whatever happens to this process, the browser ends with it. */
export async function launchChromium(options: ChromiumOptions = {}): Promise<Chromium> {
  const { pins = [], framesPerSecond = 10 } = options;
  const browser: Browser = await chromium.launch({
    executablePath: options.executable ?? chromiumExecutable,
    headless: true,
    args: [
      ...flags,
      `--use-fake-device-for-media-stream=fps=${String(framesPerSecond)}`,
      ...(pins.length > 0 ? [`--ignore-certificate-errors-spki-list=${pins.join(',')}`] : []),
      ...(options.flags ?? []),
    ],
  });
  return {
    context: (contextOptions = {}) => browser.newContext({ ignoreHTTPSErrors: true, ...contextOptions }),
    close: () => browser.close(),
  };
}

/** Every error that the page reports, for tests to expect none. Resources that are refused on purpose are no errors. */
export function collectErrors(page: Page): string[] {
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.stack ?? error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      errors.push(message.text());
  });
  return errors;
}
