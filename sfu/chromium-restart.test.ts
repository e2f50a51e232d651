import { randomBytes } from 'node:crypto';
import t from 'tap';
import { call, frames, inbound, negotiate } from './testing/caller.ts';
import { chromiumMissing, launchChromium } from './testing/chromium.ts';
import { startSfu } from './testing/sfu-fixture.ts';
import type { TunnelClient } from './testing/tunnel.ts';

t.test('ICE restarts, garbage, and a lost control connection', { skip: chromiumMissing }, async (t) => {
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const a = await call(sfu, browser, 'a', { camera: true });
  const viewer = await call(sfu, browser, 'viewer', { camera: false });
  const before = await viewer.page.statsUntil((stats) => frames(stats, '3') >= 10);

  await negotiate(a.page, a.client, true);
  await negotiate(viewer.page, viewer.client, true);
  t.equal(sfu.sfu.counters['ice_restarts'], 2);
  const restarted = await viewer.page.statsUntil((stats) => frames(stats, '3') - frames(before, '3') >= 25);
  t.equal(sfu.sfu.counters['transports_connected'], 2, 'DTLS went on');

  // As if from the very addresses of the peers, and from a stranger.
  const stranger = { ...[...sfu.hub.paths.values()][0], owner: null } as NonNullable<TunnelClient['path']>;
  const victims = [...sfu.hub.paths.values(), stranger];
  for (let i = 0; i < 3000; i++) {
    const junk = randomBytes(2 + (i % 300));
    junk[0] = [0, 1, 20, 22, 23, 63, 64, 128, 144, 160, 191, 192, 240, 246, 255][i % 15] ?? 0;
    if (i % 4 === 0) junk.set([0x80, 200 + (i % 8)]);
    for (const path of victims) sfu.sfu.receive(path, junk);
  }
  a.client.disconnect();
  const after = await viewer.page.statsUntil((stats) => frames(stats, '3') - frames(restarted, '3') >= 25);
  t.ok(inbound(after, '3').packetsLost <= inbound(after, '3').packetsReceived / 10);
  const { counters } = sfu.sfu;
  t.ok((counters['srtp_unauthenticated'] ?? 0) > 0);
  t.ok((counters['datagrams_unowned'] ?? 0) > 0);
  t.ok((counters['datagrams_unknown'] ?? 0) > 0);
  t.ok((counters['control_unattached'] ?? 0) > 0);
  t.ok((counters['ice_malformed'] ?? 0) > 0);
  t.equal(counters['internal_errors'], 0);
  t.equal(sfu.sfu.hasSession('session-a'), true, 'its media keeps it');
  a.client.connect('session-a');
  await a.client.must({ type: 'leave' });
  await a.page.close();
  await viewer.page.close();
});
