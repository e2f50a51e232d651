/**
 * The control channel in networks that strip, hold back and refuse, and its moves between carriers during a call. How long
 * such joins take, `npm run bench -- ladder` measures.
 */
import t from 'tap';
import type { Test } from 'tap';
import type { NodeCall } from '../../client/index.ts';
import { audioSlotMids } from '../../tunnel-protocol/index.ts';
import { startHttpProxy } from './http-proxy.ts';
import type { HttpProxy } from './http-proxy.ts';
import { heard, packetsOf, publishClip, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';
import type { EdgeForTest } from './node-tools.ts';

t.setTimeout(testTimeoutMs);

const [mainAudio] = audioSlotMids;
const tunnels = ['websocket', 'http-stream', 'long-poll'] as const;

async function behindProxy(
  t: Test,
  network: Partial<Pick<HttpProxy, 'upgrades' | 'buffers' | 'textOnly'>>,
): Promise<EdgeForTest & { proxy: HttpProxy }> {
  const context = await withEdge(t);
  const proxy = Object.assign(await startHttpProxy(context.edge.url), network);
  t.teardown(() => proxy.close());
  return { ...context, proxy };
}

/** The latest word on each carrier of the control channel. */
function attemptsOf(call: NodeCall): Record<string, string> {
  const ofControl = call.attempts.filter(({ channel }) => channel === 'control');
  return Object.fromEntries(ofControl.map(({ rung, outcome, reason }) => [rung, `${outcome} ${reason ?? ''}`.trim()]));
}

t.test('the Upgrade is stripped: http-stream, at once', async (t) => {
  const { joined, proxy } = await behindProxy(t, { upgrades: false });
  const call = await joined(proxy.url, { room: 'r', rungs: tunnels });
  t.match(call, { rung: 'http-stream', controlRung: 'http-stream' });
  t.match(attemptsOf(call), { websocket: 'failed upgrade-stripped', 'http-stream': 'connected' });
  t.comment(`joined in ${call.stats().joinMs.toFixed(0)} ms`);
});

t.test('and answers are held back: long-poll', async (t) => {
  const { joined, proxy } = await behindProxy(t, { upgrades: false, buffers: true });
  const call = await joined(proxy.url, { room: 'r', rungs: tunnels });
  t.match(call, { rung: 'long-poll', controlRung: 'long-poll' });
  const { websocket, 'http-stream': httpStream, 'long-poll': longPoll } = attemptsOf(call);
  t.same([websocket, httpStream, longPoll], ['failed upgrade-stripped', 'failed buffered', 'connected']);
  t.comment(`joined in ${call.stats().joinMs.toFixed(0)} ms`);
});

t.test('only text passes: long-poll in base64', async (t) => {
  const { joined, proxy } = await behindProxy(t, { upgrades: false, textOnly: true });
  const ada = await joined(proxy.url, { room: 'r', name: 'Ada', rungs: tunnels });
  t.match(ada, { rung: 'long-poll', controlRung: 'long-poll' });
  const grace = await joined(proxy.url, { room: 'r', name: 'Grace', rungs: tunnels });
  const source = await publishClip(ada);
  t.teardown(() => {
    source.stop();
  });
  await packetsOf(await trackOf(grace, mainAudio), 60);
});

t.test('what worked on this network is tried first', async (t) => {
  const { joined, proxy } = await behindProxy(t, { upgrades: false });
  const pathMemory = { get: () => ({ rung: 'http-stream' as const, at: Date.now() }), set: () => undefined };
  const call = await joined(proxy.url, { room: 'r', rungs: tunnels, pathMemory });
  t.match(call, { rung: 'http-stream', controlRung: 'http-stream' });
  t.same(attemptsOf(call), { 'http-stream': 'connected' });
});

t.test('carriers change in the middle of a call: no event is lost or doubled, and media goes on', async (t) => {
  const { edge, joined, proxy } = await behindProxy(t, { upgrades: false });
  const ada = await joined(edge.url, { room: 'r', name: 'Ada', rungs: ['udp'] });
  const grace = await joined(proxy.url, { room: 'r', name: 'Grace', rungs: tunnels });
  t.equal(grace.controlRung, 'http-stream');
  const source = await publishClip(ada);
  t.teardown(() => {
    source.stop();
  });
  const audio = await trackOf(grace, mainAudio);
  await packetsOf(audio, 20);
  const seen: unknown[] = [];
  const rounds = 60;
  grace.on('participant-updated', ({ name, status }) => {
    if (name === 'Ada' && status['n'] !== undefined) seen.push(status['n']);
  });
  const connected: boolean[] = [];
  grace.on('control', (event) => connected.push(event.connected));
  const climbed = new Promise((resolve) => {
    grace.once('control-rung', resolve);
  });
  for (let n = 1; n <= rounds; n++) {
    if (n === 20) {
      proxy.upgrades = true;
      grace.networkChanged();
    }
    if (n === 40) {
      t.same(await climbed, { from: 'http-stream', to: 'websocket' });
      t.same(connected, [], 'it was never without a connection');
      await packetsOf(audio, 5);
      proxy.upgrades = false;
      proxy.cut();
    }
    await Promise.all([ada.status({ n }), grace.status({ n }), heard(grace, () => seen.includes(n))]);
  }
  const numbers = Array.from({ length: rounds }, (_, index) => index + 1);
  t.same(seen, numbers, 'every event came, once and in order');
  t.equal(grace.controlRung, 'http-stream');
  t.same(connected, [false, true]);
  await heard(ada, () => ada.participants.find(({ name }) => name === 'Grace')?.status['n'] === rounds);
  await packetsOf(audio, 20);
  t.equal(grace.rung, 'http-stream');
  const { websocket } = attemptsOf(grace);
  t.equal(websocket, 'failed upgrade-stripped');
});
