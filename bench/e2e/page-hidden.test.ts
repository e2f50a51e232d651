/**
 * A tab that is hidden keeps its call on the tunnel. The browser is driven by its own protocol alone: Playwright holds its pages
 * visible, and turns off what browsers do to hidden ones.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import WebSocket from 'ws';
import { chromiumExecutable, chromiumMissing } from './chromium.ts';
import { startEdge } from './edge.ts';
import { testTimeoutMs } from './page-tools.ts';

const flags = [
  ...[
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--ignore-certificate-errors',
  ],
  ...['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=fps=10', '--remote-debugging-port=0'],
  ...['--autoplay-policy=no-user-gesture-required', '--disable-background-networking'],
];
/** Timers of a page are slowed down well before that, where anything slows them down. */
const hiddenMs = 20_000;
const pollMs = 100;
const patienceMs = 30_000;

interface Answer {
  readonly id: number;
  readonly result?: Readonly<Record<string, unknown>> & { readonly result?: { readonly value?: unknown } };
}

type Send = (method: string, params?: object, sessionId?: unknown) => Promise<NonNullable<Answer['result']>>;
type Evaluate = (expression: string) => Promise<unknown>;

t.test('a hidden tab keeps its call', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const profile = await mkdtemp(path.join(tmpdir(), 'sallyport-hidden-'));
  const browser = spawn(chromiumExecutable, [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: 'ignore',
  });
  const exited = once(browser, 'exit');
  t.teardown(async () => {
    browser.kill('SIGKILL');
    await exited;
    await rm(profile, { recursive: true, force: true, maxRetries: 10 });
  });
  const send = await connect(profile);
  const ada = await openTab(send, `${edge.url}/?room=hidden&name=Ada&join=1&rung=websocket`);
  // Another tab in front.
  const grace = await openTab(send, `${edge.url}/?room=hidden&name=Grace&join=1&rung=udp`);
  for (const tab of [ada, grace]) await until(tab, 'window.sallyportCall != null');
  const flows = `['audio', 'video'].every((kind) => ['send', 'receive'].every((way) => sallyportCall.stats().tracks
    .some((track) => track.kind === kind && track.direction === way && track.packets > 20)))`;
  for (const tab of [ada, grace]) await until(tab, flows);
  t.equal(await ada('document.visibilityState'), 'hidden');
  await ada(`window.interruptions = []; for (const name of ['rung', 'control', 'control-rung', 'media', 'closed'])
    sallyportCall.on(name, (event) => interruptions.push([name, event]))`);

  const counts = `sallyportCall.stats().tracks.map(({ mid, direction, packets }) => [direction + mid, packets])`;
  const before = [await ada(counts), await grace(counts)].map((of) => new Map(of as [string, number][]));
  await new Promise((resolve) => setTimeout(resolve, hiddenMs));
  const after = [await ada(counts), await grace(counts)].map((of) => new Map(of as [string, number][]));
  for (const [which, now] of after.entries()) {
    const grown = [...now].map(([track, packets]) => packets - (before[which]?.get(track) ?? 0));
    // Two of sound have 50 packets a second, on a machine that has the time.
    t.ok(
      grown.filter((packets) => packets > (hiddenMs / 1_000) * 25).length >= 2,
      `sound both ways: ${grown.join(', ')}`,
    );
    t.ok(grown.filter((packets) => packets > hiddenMs / 1_000).length >= 4, `and pictures: ${grown.join(', ')}`);
  }
  t.same(await ada('interruptions'), []);
  t.equal(await ada('document.visibilityState'), 'hidden');
  t.equal(await ada('sallyportCall.rung + " " + sallyportCall.controlRung'), 'websocket websocket');
  t.same(edge.errors, [], 'the edge logs no errors');
});

/** To the browser that has this profile. */
async function connect(profile: string): Promise<Send> {
  const [port = '', route = ''] = await devToolsPort(path.join(profile, 'DevToolsActivePort'));
  const socket = new WebSocket(`ws://127.0.0.1:${port}${route}`);
  await once(socket, 'open');
  const waiting = new Map<number, (result: NonNullable<Answer['result']>) => void>();
  socket.on('message', (data: Buffer) => {
    const { id, result } = JSON.parse(data.toString()) as Answer;
    waiting.get(id)?.(result ?? {});
    waiting.delete(id);
  });
  let id = 0;
  return (method, params = {}, sessionId) =>
    new Promise((resolve) => {
      id += 1;
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
}

/** Written by the browser once it listens. */
async function devToolsPort(file: string): Promise<string[]> {
  for (const end = performance.now() + patienceMs; performance.now() < end;) {
    const lines = await readFile(file, 'utf8').then(
      (text) => text.split('\n'),
      () => [],
    );
    if (lines.length >= 2) return lines;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  throw new Error('the browser did not start');
}

async function openTab(send: Send, url: string): Promise<Evaluate> {
  const { targetId } = await send('Target.createTarget', { url });
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true });
  return async (expression) => {
    const params = { expression, awaitPromise: true, returnByValue: true };
    return (await send('Runtime.evaluate', params, sessionId)).result?.value;
  };
}

async function until(tab: Evaluate, condition: string): Promise<void> {
  for (const end = performance.now() + patienceMs; performance.now() < end;) {
    if ((await tab(condition)) === true) return;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  throw new Error(`in vain: ${condition}`);
}
