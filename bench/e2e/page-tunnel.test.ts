/** The page's own media stack: sound and picture both ways on the tunnel's rungs, encrypted to the SFU. */
import t from 'tap';
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { framesGrow, joinByLink, testTimeoutMs, trackStats, until } from './page-tools.ts';

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;
const shown = { websocket: 'WebSocket tunnel', 'long-poll': 'Long-poll tunnel' };

for (const rung of ['websocket', 'long-poll'] as const) {
  t.test(`${rung}, and the other one on UDP`, { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
    const edge = await startEdge();
    t.teardown(() => edge.close());
    const chromium = await launchChromium({ pins: edge.certificatePin === null ? [] : [edge.certificatePin] });
    t.teardown(() => chromium.close());
    const context = await chromium.context({ viewport: { width: 640, height: 480 } });
    const ada = await joinByLink(context, edge.url, 'Ada', 'test', rung);
    const grace = await joinByLink(context, edge.url, 'Grace', 'test', 'udp');
    const errors = [ada, grace].map(collectErrors);
    t.equal(await ada.evaluate(() => globalThis.sallyportCall?.rung), rung);
    t.equal(await ada.evaluate(() => globalThis.sallyportCall?.peer), null, 'without WebRTC of the browser');

    for (const page of [ada, grace]) {
      await framesGrow(page, mainVideo, 15);
      const video = await trackStats(page, mainVideo);
      t.ok((video?.width ?? 0) >= 160, 'the picture has a size');
      await until(
        page,
        (mid) => {
          const audio = globalThis.sallyportCall?.stats().tracks.find((track) => track.mid === mid);
          return audio !== undefined && audio.audioSamples > 48_000 && audio.audioEnergy > 0;
        },
        mainAudio,
      );
      t.pass('a second of sound, and the fake microphone beeps');
      await page.locator('#main-tile[data-picture=video]').waitFor();
    }
    t.equal(await ada.locator('#figure-rung').textContent(), shown[rung]);

    await ada.getByRole('button', { name: 'Camera off' }).click();
    await grace.locator('#main-tile[data-picture=portrait]').waitFor();
    await ada.getByRole('button', { name: 'Camera on' }).click();
    await grace.locator('#main-tile[data-picture=video]').waitFor();
    await framesGrow(grace, mainVideo, 10);
    t.pass('camera off and on');
    t.same(errors, [[], []], 'the pages report no errors');
    t.same(edge.errors, [], 'the edge logs no errors');
  });
}
