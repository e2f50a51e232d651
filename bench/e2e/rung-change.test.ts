/** Media of Node clients that moves between rungs, and networks that make it move. */
import t from 'tap';
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import {
  GapMeter,
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
/** More than this without a packet is noticed by people. */
const noticeableGapMs = 250;

t.test('through all rungs during the call: no gap that is noticed', async (t) => {
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
  const gaps: string[] = [];
  const wanted: string[] = [];
  let from: string = 'udp';
  for (const to of ['turn-udp', 'ice-tcp', 'turn-tcp', 'turn-tls', 'websocket', 'udp'] as const) {
    // First the sender's transport, then the receiver's.
    for (const call of [ada, grace]) {
      const meters = tracks.map((track) => new GapMeter(track));
      cleanUp(() => {
        for (const meter of meters) meter.stop();
      });
      await call.switchRung(to);
      t.equal(call.rung, to);
      await Promise.all(tracks.map((track) => packetsOf(track, 30)));
      const [video, audio] = meters.map(({ longestMs }) => longestMs) as [number, number];
      t.ok(
        Math.max(video, audio) <= noticeableGapMs,
        `${call.self.name} to ${to}: ${video.toFixed(0)}, ${audio.toFixed(0)} ms`,
      );
      gaps.push(`${call === ada ? 'sender' : 'receiver'} ${from} to ${to} ${video.toFixed(0)}/${audio.toFixed(0)}`);
      wanted.push(`${call.self.name} ${from} ${to} requested`);
      for (const meter of meters) meter.stop();
    }
    from = to;
  }
  t.comment(`longest time without a packet, video/audio, ms: ${gaps.join(', ')}`);
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
  t.ok(ada.stats().joinMs < 5000, `${ada.stats().joinMs.toFixed(0)} ms`);
  await t.rejects(joinInsecurely(edge.url, { room: 'r', rungs: ['udp'], timeoutMs: 1000 }), {
    code: 'media-unreachable',
    message: /tried: udp/,
  });
});

t.test('UDP dies in the call and comes back: down at once, up when proven', { timeout: 60_000 }, async (t) => {
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
  const diedAt = performance.now();
  t.same(await rungChange(), { from: 'udp', to: 'websocket', reason: 'rung-failed' });
  const downMs = performance.now() - diedAt;
  t.ok(downMs < 8000, `${downMs.toFixed(0)} ms`);
  await packetsOf(track, 30);
});

t.test(
  'UDP dies where no tunnel is allowed: TURN is opened in time, and given back when UDP is',
  { timeout: 60_000 },
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
    const diedAt = performance.now();
    await packetsOf(track, 1);
    const downMs = performance.now() - diedAt;
    t.same(changes, ['udp turn-tls rung-failed']);
    t.ok(downMs < 5000, `${downMs.toFixed(0)} ms`);
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
  const meter = new GapMeter(await trackOf(grace, mainAudio));
  cleanUp(() => {
    meter.stop();
  });

  const statuses: unknown[] = [];
  const allSeen = new Promise<void>((resolve) => {
    grace.on('participant-updated', ({ name, status }) => {
      if (name !== 'Ada' || statuses.at(-1) === status['n']) return;
      statuses.push(status['n']);
      if (status['n'] === 30) resolve();
    });
  });
  const control: boolean[] = [];
  grace.on('control', ({ connected }) => control.push(connected));
  for (let n = 1; n <= 30; n++) {
    if (n % 10 === 0) proxy.cut();
    await Promise.all([ada.status({ n }), grace.status({ n }), tunnelled.status({ n })]);
  }
  await allSeen;
  t.same(
    statuses,
    Array.from({ length: 30 }, (_, i) => i + 1),
    'every event came, once and in order',
  );
  t.same(control.slice(0, 2), [false, true]);
  t.equal(ada.participants.find(({ name }) => name === 'Grace')?.status['n'], 30);
  t.equal(grace.rung, 'udp');
  t.ok(meter.longestMs <= noticeableGapMs, `media on UDP did not notice: ${meter.longestMs.toFixed(0)} ms`);
  await Promise.all(tracks.map((track) => packetsOf(track, 30)));
  t.equal(tunnelled.rung, 'websocket');
});
