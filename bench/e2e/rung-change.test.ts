/**
 * Media of Node clients that moves between rungs, and networks that make it move. How long that takes, and how long media
 * is away meanwhile, `npm run bench -- ladder` measures.
 */
import t from 'tap';
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import {
  heard,
  joinInsecurely,
  packetsOf,
  publishClip,
  statsUntil,
  trackOf,
  withEdge,
  testTimeoutMs,
} from './node-tools.ts';
import { startTamperingProxy } from './tampering-proxy.ts';
import { relayAddress, startUdpRelay } from './udp-relay.ts';

t.setTimeout(testTimeoutMs);

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;

t.test('through all rungs during the call: no packet is lost', async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t, {}, { turn: true });
  const ada = await joined(edge.url, { room: 'r', name: 'Ada' });
  const grace = await joined(edge.url, { room: 'r', name: 'Grace' });
  t.same([ada.rung, grace.rung], ['udp', 'udp']);
  const changes: string[] = [];
  for (const call of [ada, grace]) {
    call.on('rung', ({ from, to, reason }) => changes.push(`${call.self.name} ${from ?? ''} ${to} ${reason}`));
  }
  const source = await publishClip(ada);
  cleanUp(() => {
    source.stop();
  });
  const tracks = [await trackOf(grace, mainVideo), await trackOf(grace, mainAudio)];
  await Promise.all(tracks.map((track) => packetsOf(track, 50)));
  const wanted: string[] = [];
  let from: string = 'udp';
  for (const to of ['turn-udp', 'ice-tcp', 'turn-tcp', 'turn-tls', 'websocket', 'udp'] as const) {
    // First the sender's transport, then the receiver's.
    for (const call of [ada, grace]) {
      await call.switchRung(to);
      t.equal(call.rung, to);
      await Promise.all(tracks.map((track) => packetsOf(track, 30)));
      wanted.push(`${call.self.name} ${from} ${to} requested`);
    }
    from = to;
  }
  t.same(changes, wanted);
  t.equal(grace.stats().packetsLost, 0);
  const metrics = await edge.metrics();
  t.match(metrics, /sallyport_rung_changes_total\{from="websocket",to="udp",reason="nominated"\} 2/);
  t.match(metrics, /sallyport_rung_changes_total\{from="turn-tcp",to="turn-tls",reason="nominated"\} 2/);
});

t.test('UDP that does not get through: the call is on the tunnel at once', async (t) => {
  const { edge, joined } = await withEdge(t, { SALLYPORT_PUBLIC_ADDRESS: '127.0.0.3' });
  const ada = await joined(edge.url, { room: 'r', rungs: ['udp', 'websocket'] });
  t.equal(ada.rung, 'websocket');
  t.comment(`joined in ${ada.stats().joinMs.toFixed(0)} ms`);
  await t.rejects(joinInsecurely(edge.url, { room: 'r', rungs: ['udp'], timeoutMs: 1000 }), {
    code: 'media-unreachable',
    message: /tried: udp/,
  });
});

t.test('UDP dies in the call and comes back: down at once, up when proven', { timeout: 110_000 }, async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t, { SALLYPORT_PUBLIC_ADDRESS: relayAddress });
  const relay = await startUdpRelay('127.0.0.1', edge.udpPort);
  cleanUp(() => {
    relay.close();
  });
  relay.down = true;
  const ada = await joined(edge.url, { room: 'r', name: 'Ada', rungs: ['websocket'] });
  const grace = await joined(edge.url, { room: 'r', name: 'Grace', rungs: ['udp', 'websocket'] });
  t.equal(grace.rung, 'websocket');
  const rungChange = (): Promise<unknown> =>
    new Promise((resolve) => {
      grace.once('rung', resolve);
    });
  const source = await publishClip(ada);
  cleanUp(() => {
    source.stop();
  });
  const track = await trackOf(grace, mainVideo);
  relay.down = false;
  t.same(await rungChange(), { from: 'websocket', to: 'udp', reason: 'better-rung-proven' });
  await packetsOf(track, 60);
  relay.down = true;
  t.same(await rungChange(), { from: 'udp', to: 'websocket', reason: 'rung-failed' });
  await packetsOf(track, 30);
});

t.test(
  'UDP dies where no tunnel is allowed: TURN is opened in time, and given back when UDP is',
  { timeout: 110_000 },
  async (t) => {
    const { edge, joined, cleanUp } = await withEdge(t, { SALLYPORT_PUBLIC_ADDRESS: relayAddress });
    const relay = await startUdpRelay('127.0.0.1', edge.udpPort);
    cleanUp(() => {
      relay.close();
    });
    const ada = await joined(edge.url, { room: 'r', name: 'Ada', rungs: ['websocket'] });
    const grace = await joined(edge.url, { room: 'r', name: 'Grace', rungs: ['udp', 'turn-tls'] });
    t.equal(grace.rung, 'udp');
    const source = await publishClip(ada);
    cleanUp(() => {
      source.stop();
    });
    const track = await trackOf(grace, mainVideo);
    await packetsOf(track, 60);
    t.same(
      grace.attempts.filter(({ channel }) => channel !== 'control').map(({ rung }) => rung),
      ['udp'],
      'while UDP works nothing else is opened',
    );
    const changes: string[] = [];
    grace.on('rung', ({ from, to, reason }) => changes.push(`${from ?? ''} ${to} ${reason}`));
    relay.down = true;
    await packetsOf(track, 1);
    t.same(changes, ['udp turn-tls rung-failed']);
    relay.down = false;
    await grace.switchRung('udp');
    t.match(await edge.metrics(), /^sallyport_turn_allocations 1$/m);
    while (!/^sallyport_turn_allocations 0$/m.test(await edge.metrics())) await statsUntil(grace, () => true);
  },
);

t.test('the WebSocket is cut: signalling loses nothing, media finds its way', async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t);
  const proxy = await startTamperingProxy(edge.url);
  cleanUp(() => proxy.close());
  const ada = await joined(edge.url, { room: 'r', name: 'Ada' });
  const grace = await joined(proxy.url, { room: 'r', name: 'Grace' });
  const tunnelled = await joined(proxy.url, { room: 'r', name: 'Radia', rungs: ['websocket'] });
  const source = await publishClip(ada);
  cleanUp(() => {
    source.stop();
  });
  const tracks = [await trackOf(grace, mainVideo), await trackOf(tunnelled, mainVideo)];
  await Promise.all(tracks.map((track) => packetsOf(track, 30)));
  const statuses: unknown[] = [];
  grace.on('participant-updated', ({ name, status }) => {
    if (name === 'Ada' && statuses.at(-1) !== status['n']) statuses.push(status['n']);
  });
  const control: boolean[] = [];
  grace.on('control', ({ connected }) => control.push(connected));
  for (let n = 1; n <= 30; n++) {
    if (n % 10 === 0) proxy.cut();
    const told = heard(grace, () => statuses.includes(n));
    await Promise.all([ada.status({ n }), grace.status({ n }), tunnelled.status({ n }), told]);
  }
  t.same(
    statuses,
    Array.from({ length: 30 }, (_, i) => i + 1),
    'every event came, once and in order',
  );
  t.same(control.slice(0, 2), [false, true]);
  await heard(ada, () => ada.participants.find(({ name }) => name === 'Grace')?.status['n'] === 30);
  t.equal(grace.rung, 'udp');
  await Promise.all(tracks.map((track) => packetsOf(track, 30)));
  t.equal(tunnelled.rung, 'websocket');
});
