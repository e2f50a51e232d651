/** The demo page in a real Chromium as a client under test. */
import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { chromiumExecutable, launchChromium, type Chromium } from '../e2e/chromium.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { ClientReport, ClientUnderTest } from './client-under-test.ts';
import type { LabEdge } from './lab-edge.ts';
import { routerAddress, type Intermediary } from './intermediary.ts';
import { edgeAddress, labEnvironment, type Lab } from './namespaces.ts';
import { attemptsOf, isRung, readPage, watchPage } from './page-watch.ts';

export class ChromiumClient implements ClientUnderTest {
  readonly #chromium: Chromium;
  readonly #url: string;
  readonly #proxy: Intermediary['proxy'];
  #context: BrowserContext | null = null;
  #page: Page | null = null;

  readonly #script: string | null;

  private constructor(chromium: Chromium, url: string, proxy: Intermediary['proxy'], script: string | null) {
    this.#proxy = proxy;
    this.#script = script;
    this.#chromium = chromium;
    this.#url = url;
  }

  /** Starts the browser in the lab's client namespace. `script`, a file, runs in the page before its own. */
  static async launch(
    lab: Lab,
    edge: LabEdge,
    intermediary: Intermediary | null = null,
    script: string | null = null,
  ): Promise<ChromiumClient> {
    const pins = [edge.pin, ...(intermediary?.pin === undefined ? [] : [intermediary.pin])];
    const chromium = await launchInClientNamespace(lab, pins);
    return new ChromiumClient(chromium, edge.url, intermediary?.proxy, script);
  }

  /** As somebody in this network has it: with its proxy, if it has one. */
  context(): Promise<BrowserContext> {
    const { url: server = '', ...account } = this.#proxy ?? {};
    return this.#chromium.context({
      viewport: { width: 640, height: 480 },
      ...(this.#proxy === undefined ? {} : { proxy: { server, ...account } }),
    });
  }

  /** A page of the edge. */
  async open(context: BrowserContext, pathAndQuery: string, timeoutMs: number): Promise<Page> {
    const page = await context.newPage();
    await page.goto(this.#url + pathAndQuery, { timeout: timeoutMs });
    return page;
  }

  /** `rung`: this one alone. */
  async join(room: string, timeoutMs: number, rung?: Rung): Promise<void> {
    this.#context = await this.context();
    await this.#context.addInitScript(watchPage);
    if (this.#script !== null) await this.#context.addInitScript({ path: this.#script });
    const only = rung === undefined ? '' : `&rung=${rung}`;
    const page = await this.open(this.#context, `/?room=${room}&name=Client&join=1${only}`, timeoutMs);
    this.#page = page;
    const joined = page.waitForFunction(() => (globalThis.sallyportCall ?? null) !== null, undefined, {
      timeout: timeoutMs,
      polling: 100,
    });
    const problem = page.locator('#join-problem');
    const refused = problem.waitFor({ timeout: timeoutMs }).then(async () => {
      throw new Error(`the page says: ${(await problem.innerText()).trim()}`);
    });
    refused.catch(() => undefined);
    await Promise.race([joined, refused]);
  }

  async report(): Promise<ClientReport> {
    if (this.#page === null)
      return { rung: null, joinMs: null, video: 0, audio: 0, packets: 0, lost: 0, gapMs: 0, attempts: [] };
    const page = await this.#page.evaluate(readPage);
    const { rung, joinMs, frames, audioPackets, packets, lost, gapMs } = page;
    return {
      rung: isRung(rung) ? rung : null,
      joinMs,
      video: frames,
      audio: audioPackets,
      packets,
      lost,
      gapMs,
      attempts: attemptsOf(page),
    };
  }

  /** The page that has joined. Throws before. */
  get page(): Page {
    if (this.#page === null) throw new Error('the client has not joined');
    return this.#page;
  }

  async leave(): Promise<void> {
    await this.#context?.close();
    this.#context = null;
    this.#page = null;
  }

  async close(): Promise<void> {
    await this.#chromium.close();
  }
}

/** The browser alone. It ends with its `close`, and with the lab. */
export async function launchInClientNamespace(lab: Lab, pins: readonly string[] = []): Promise<Chromium> {
  // Playwright starts one executable and talks with it by pipes, which pass the border between namespaces.
  const wrapper = path.join(lab.folder, `chromium-${lab.client.name}`);
  const outside = Object.keys(process.env).filter((name) => !(name in labEnvironment()));
  const command = [...lab.client.prefix, 'env', ...outside.flatMap((name) => ['-u', name]), chromiumExecutable];
  await writeFile(wrapper, `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`);
  await chmod(wrapper, 0o755);
  const flags = [`--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${edgeAddress}, EXCLUDE ${routerAddress}`];
  return oneByOne(() => inFolder(lab.folder, () => launchChromium({ executable: wrapper, pins, flags })));
}

let launched: Promise<unknown> = Promise.resolve();

/** Labs beside each other share the process's environment, and with it its temporary folder. */
function oneByOne<T>(launch: () => Promise<T>): Promise<T> {
  const mine = launched.then(launch, launch);
  launched = mine.catch(() => undefined);
  return mine;
}

/** Temporary files that are made meanwhile go into this folder, so that an interrupted run leaves no profile behind. */
async function inFolder<T>(folder: string, make: () => Promise<T>): Promise<T> {
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  try {
    return await make();
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  }
}
