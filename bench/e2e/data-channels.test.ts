/** Data channels of a room: a page with Chromium's own, Node clients on UDP and on a WebSocket tunnel. */
import t from 'tap';
import type { DataEvent, NodeCall, SendDataOptions } from '../../client/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { withEdge } from './node-tools.ts';
import { joinByLink, testTimeoutMs, until } from './page-tools.ts';

/** The members of the page's call that this test uses. */
interface PageDataCall {
  readonly peer: RTCPeerConnectionLike;
  readonly self: { readonly id: string };
  on(name: 'data', listener: (event: DataEvent) => void): void;
  sendData(data: string | Uint8Array, options?: SendDataOptions): Promise<void>;
}
interface ChannelLike {
  readonly protocol: string;
  readonly label: string;
  readonly ordered: boolean;
  readonly maxRetransmits: number | null;
  onopen: () => void;
  onmessage: (event: { readonly data: string }) => void;
  send(data: string): void;
}
interface RTCPeerConnectionLike {
  createDataChannel(label: string, options: object): ChannelLike;
  addEventListener(name: 'datachannel', listener: (event: { readonly channel: ChannelLike }) => void): void;
}

/** Messages in order of arrival, and a promise for the first so many. */
function listen(call: NodeCall): {
  readonly heard: DataEvent[];
  readonly first: (count: number) => Promise<DataEvent[]>;
} {
  const heard: DataEvent[] = [];
  const watchers = new Set<() => void>();
  call.on('data', (event) => {
    heard.push(event);
    for (const watch of watchers) watch();
  });
  return {
    heard,
    first: (count) =>
      new Promise((resolve) => {
        const watch = (): void => {
          if (heard.length < count) return;
          watchers.delete(watch);
          resolve(heard.slice(0, count));
        };
        watchers.add(watch);
        watch();
      }),
  };
}

t.test('a page and Node clients hear each other', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const { edge, joined } = await withEdge(t);
  const chromium = await launchChromium();
  t.teardown(() => chromium.close());
  const page = await joinByLink(await chromium.context(), edge.url, 'Page');
  const errors = collectErrors(page);
  const direct = await joined(edge.url, { room: 'test', name: 'Direct', rungs: ['udp', 'websocket'] });
  const tunnelled = await joined(edge.url, { room: 'test', name: 'Tunnelled', rungs: ['websocket'] });
  t.equal(tunnelled.rung, 'websocket');
  const [atDirect, atTunnelled] = [listen(direct), listen(tunnelled)];
  await page.evaluate(() => {
    const heard: unknown[] = [];
    Object.assign(globalThis, { heard });
    (globalThis.sallyportCall as unknown as PageDataCall).on('data', (event) =>
      heard.push({ ...event, data: String(event.data) }),
    );
  });
  const pageId = await page.evaluate(() => (globalThis.sallyportCall as unknown as PageDataCall).self.id);

  await page.evaluate(() =>
    (globalThis.sallyportCall as unknown as PageDataCall).sendData('from the page', { topic: 'chat' }),
  );
  for (const { first } of [atDirect, atTunnelled]) {
    t.strictSame(await first(1), [{ from: pageId, topic: 'chat', data: 'from the page' }]);
  }
  const big = Uint8Array.from({ length: 60_000 }, (_, at) => at * 7);
  await tunnelled.sendData(big, { topic: 'file' });
  await tunnelled.sendData('now and then', { topic: 'pulse', ordered: false, maxRetransmits: 0 });
  const two = (await atDirect.first(3)).slice(1);
  t.strictSame(two.map(({ topic }) => topic).sort(), ['file', 'pulse']);
  const file = two.find(({ topic }) => topic === 'file')?.data;
  t.ok(file instanceof Uint8Array && Buffer.from(file).equals(big), 'bytes arrive as they were');
  await until(page, () => (globalThis as unknown as { heard: unknown[] }).heard.length === 2);

  await direct.sendData('for the page alone', { to: pageId });
  await until(page, () => (globalThis as unknown as { heard: unknown[] }).heard.length === 3);
  t.strictSame(await page.evaluate(() => (globalThis as unknown as { heard: unknown[] }).heard[2]), {
    from: direct.self.id,
    topic: '',
    data: 'for the page alone',
  });
  t.equal(atTunnelled.heard.length, 1, 'and for nobody else');

  // A channel of Chromium's, without any of our code: its like is opened at the others, and theirs at it.
  const echoed = page.evaluate(
    () =>
      new Promise<object>((resolve) => {
        const { peer } = globalThis.sallyportCall as unknown as PageDataCall;
        peer.addEventListener('datachannel', ({ channel }) => {
          if (channel.label !== 'echo') return;
          const { protocol, ordered, maxRetransmits } = channel;
          channel.onmessage = ({ data }) => {
            resolve({ protocol, ordered, maxRetransmits, data });
          };
        });
        const raw = peer.createDataChannel('raw', { ordered: false, maxRetransmits: 3 });
        raw.onopen = () => {
          for (let at = 0; at < 20; at++) raw.send(`raw ${String(at)}`);
        };
      }),
  );
  const raw = (await atTunnelled.first(21)).slice(1);
  t.strictSame(raw.map(({ data }) => data).sort(), Array.from({ length: 20 }, (_, at) => `raw ${String(at)}`).sort());
  t.strictSame(new Set(raw.map(({ topic }) => topic)), new Set(['raw']));
  await tunnelled.sendData('back', { topic: 'echo', ordered: false, maxRetransmits: 2 });
  t.strictSame(await echoed, { protocol: tunnelled.self.id, ordered: false, maxRetransmits: 2, data: 'back' });
  t.strictSame(errors, []);
});

t.test(
  'what is sent in order comes in order, also across a change of the rung',
  { timeout: testTimeoutMs },
  async (t) => {
    const { edge, joined } = await withEdge(t);
    const ada = await joined(edge.url, { room: 'r', rungs: ['udp', 'websocket'] });
    const grace = await joined(edge.url, { room: 'r', rungs: ['udp', 'websocket'] });
    const { first } = listen(grace);
    const count = 60;
    for (let at = 0; at < count; at++) {
      if (at === 20) await ada.switchRung('websocket');
      if (at === 40) await grace.switchRung('websocket');
      await ada.sendData(`${String(at)} ${'x'.repeat(1000)}`);
    }
    const numbers = (await first(count)).map(({ data }) => Number.parseInt(data as string, 10));
    t.strictSame(
      numbers,
      Array.from({ length: count }, (_, at) => at),
    );
  },
);

t.test('who may not, does not', { timeout: testTimeoutMs }, async (t) => {
  const { edge, joined } = await withEdge(t, { SALLYPORT_AUTH: 'token' });
  const token = (can: readonly ('publish' | 'subscribe' | 'data')[]): Promise<string> =>
    edge.tokens.issueJoinToken({ room: 'r', identity: can.join(), name: null, can, hidden: false }, 60);
  const speaker = await joined(edge.url, { room: 'r', token: await token(['data']) });
  const listener = await joined(edge.url, { room: 'r', token: await token(['data']) });
  const deaf = await joined(edge.url, { room: 'r', token: await token(['publish', 'subscribe']) });
  const { heard } = listen(deaf);
  const { first } = listen(listener);
  await t.rejects(deaf.sendData('x'), { code: 'data-unavailable' });
  await t.rejects(speaker.sendData('x'.repeat(65_537)), { code: 'data-too-large' });
  await t.rejects(speaker.sendData('x', { maxRetransmits: 1, maxLifetimeMs: 1 }), { code: 'bad-option' });
  await speaker.sendData('hello');
  t.match(await first(1), [{ from: speaker.self.id, data: 'hello' }]);
  t.strictSame(heard, []);
});
