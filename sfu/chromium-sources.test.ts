import t from 'tap';
import { call, frames, height, inbound } from './testing/caller.ts';
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
  // The camera's picture is larger; a browser that is short of CPU makes it smaller, but not as small.
  await viewer.page.statsUntil((stats) => height(stats, '3') > 180);

  await a.client.must({ type: 'mute', source: 'camera', muted: true });
  const unpublished = (count: number): Promise<unknown> => {
    const before = sfu.sfu.counters['rtp_unpublished'] ?? 0;
    return a.page.statsUntil(() => (sfu.sfu.counters['rtp_unpublished'] ?? 0) >= before + count);
  };
  await unpublished(5);
  const muted = await viewer.page.stats();
  await unpublished(20);
  const { packetsReceived } = inbound(await viewer.page.stats(), '3');
  t.equal(packetsReceived, inbound(muted, '3').packetsReceived, 'nothing more came');
  await a.client.must({ type: 'mute', source: 'camera', muted: false });
  await viewer.page.statsUntil((stats) => frames(stats, '3') - frames(muted, '3') >= 25);
  await a.page.close();
  await viewer.page.close();
});
