import t from 'tap';
import { call, frames, height, inbound } from './testing/caller.ts';
import { chromiumMissing, launchChromium } from './testing/chromium.ts';
import type { PeerStats } from './testing/chromium.ts';
import { startSfu } from './testing/sfu-fixture.ts';

t.test('one stream per slot, while people come and go', { skip: chromiumMissing }, async (t) => {
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const viewer = await call(sfu, browser, 'viewer', { camera: false });
  const a = await call(sfu, browser, 'a', { camera: true });
  const timed = (stats: PeerStats, mid: string): number => stats.inbound[mid]?.estimatedPlayoutTimestamp ?? 0;
  const apart = (stats: PeerStats): number => timed(stats, '3') - timed(stats, '9');
  // Chromium brings sound and picture together by and by, and its estimate is of the last frame it drew.
  const before = await viewer.page.statsUntil(
    (stats) =>
      frames(stats, '3') >= 25 &&
      height(stats, '3') > 180 &&
      timed(stats, '3') > 0 &&
      timed(stats, '9') > 0 &&
      Math.abs(apart(stats)) < 500,
  );
  t.ok((inbound(before, '9').totalSamplesReceived ?? 0) > 0, 'and is heard');
  t.ok(Math.abs(apart(before)) < 500, `lips are ${String(apart(before))} ms apart`);
  t.strictSame(await viewer.page.evaluate('[peer.streams[3], peer.streams[9]]'), ['main', 'main']);

  const b = await call(sfu, browser, 'b', { camera: true });
  // Both beep; who is main must not depend on who is louder.
  await viewer.client.must({ type: 'subscribe', main: b.id, audio: true, video: true });
  await viewer.client.event('slots', ({ slots }) =>
    slots.some(({ mid, participant }) => mid === '3' && participant === b.id),
  );
  const during = await viewer.page.statsUntil((stats) => {
    const more = frames(stats, '3') - frames(before, '3');
    return more >= 25 && frames(stats, '4') >= 25 && height(stats, '4') <= 180;
  });
  t.equal(inbound(during, '3').ssrc, inbound(before, '3').ssrc);
  t.ok(
    (inbound(during, '3').keyFramesDecoded ?? 0) > (inbound(before, '3').keyFramesDecoded ?? 0),
    'a switch is a key frame',
  );

  await b.client.must({ type: 'leave' });
  await b.page.close();
  const after = await viewer.page.statsUntil(
    (stats) => frames(stats, '3') - frames(during, '3') >= 25 && height(stats, '3') > 180,
  );
  const thumbnail = frames(after, '4');
  t.ok(thumbnail - frames(during, '4') < 75, 'the thumbnail stopped');
  for (const mid of ['3', '4', '9']) {
    const { packetsLost, packetsReceived } = inbound(after, mid);
    t.ok(packetsLost <= packetsReceived / 10, `mid ${mid} lost ${String(packetsLost)} of ${String(packetsReceived)}`);
  }
  t.equal(sfu.sfu.counters['internal_errors'], 0);
  await a.page.close();
  await viewer.page.close();
});
