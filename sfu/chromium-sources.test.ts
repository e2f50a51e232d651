import t from 'tap';
import { call, frames, height } from './testing/caller.ts';
import { chromiumMissing, launchChromium } from './testing/chromium.ts';
import { startSfu } from './testing/sfu-fixture.ts';

t.test('a screen takes main, without simulcast; mute stops what is sent', { skip: chromiumMissing }, async (t) => {
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const a = await call(sfu, browser, 'a', { camera: true, simulcast: false, screen: true });
  const viewer = await call(sfu, browser, 'viewer', { camera: false });
  const { slots } = await viewer.client.event('slots');
  t.equal(slots[0]?.source, 'screen');
  await viewer.page.statsUntil(
    (stats) => frames(stats, '3') >= 5 && height(stats, '3') === 180 && frames(stats, '4') >= 10,
  );
  await a.client.must({ type: 'unpublish', source: 'screen' });
  await viewer.page.statsUntil((stats) => height(stats, '3') === 360);

  await a.client.must({ type: 'mute', source: 'camera', muted: true });
  const muted = await viewer.page.stats();
  const sent = sfu.sfu.counters['rtp_unpublished'] ?? 0;
  await a.page.statsUntil(() => (sfu.sfu.counters['rtp_unpublished'] ?? 0) >= sent + 20);
  t.ok(frames(await viewer.page.stats(), '3') - frames(muted, '3') <= 3, 'nothing more came');
  await a.client.must({ type: 'mute', source: 'camera', muted: false });
  await viewer.page.statsUntil((stats) => frames(stats, '3') - frames(muted, '3') >= 25);
  await a.page.close();
  await viewer.page.close();
});
