import t from 'tap';
import { isRtcp } from '../tunnel-protocol/index.ts';
import { call, frames, inbound } from './testing/caller.ts';
import { chromiumMissing, launchChromium } from './testing/chromium.ts';
import { startSfu } from './testing/sfu-fixture.ts';

t.test('what is lost is sent again', { skip: chromiumMissing }, async (t) => {
  const browser = await launchChromium();
  t.teardown(() => browser.close());
  const sfu = await startSfu();
  t.teardown(() => sfu.close());
  const a = await call(sfu, browser, 'a', { camera: true });
  const viewer = await call(sfu, browser, 'viewer', { camera: false });
  const before = await viewer.page.statsUntil((stats) => frames(stats, '3') >= 25);
  const everyNth = (n: number): ((datagram: Uint8Array) => boolean) => {
    let count = 0;
    return (datagram) => (datagram[0] ?? 0) >> 6 === 2 && !isRtcp(datagram) && ++count % n === 0;
  };
  sfu.hub.losesIncoming = everyNth(17);
  sfu.hub.losesOutgoing = everyNth(19);
  const after = await viewer.page.statsUntil((stats) => frames(stats, '3') - frames(before, '3') >= 75);
  t.ok((sfu.sfu.counters['rtp_repeated'] ?? 0) > 0);
  t.ok((sfu.sfu.counters['repeats_requested'] ?? 0) > 0);
  // A loss that is not mended costs a request for a key frame; about 15 packets were lost.
  const asked = (inbound(after, '3').pliCount ?? 0) - (inbound(before, '3').pliCount ?? 0);
  t.ok(asked <= 3, `${String(asked)} requests for key frames`);
  t.ok((inbound(after, '3').retransmittedPacketsReceived ?? 0) > 0);
  await a.page.close();
  await viewer.page.close();
});
