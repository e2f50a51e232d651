/** Two tabs of a real browser in a call over UDP, through a real edge. */
import t from 'tap';
import { audioSlotMids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { framesGrow, joinByLink, testTimeoutMs, trackStats, until } from './page-tools.ts';

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;
const figure = /^\d+(\.\d+)?\u00a0(ms|s|%|[kM]bit\/s)$/;

t.test('two tabs see and hear each other', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const chromium = await launchChromium({ pins: edge.certificatePin === null ? [] : [edge.certificatePin] });
  t.teardown(() => chromium.close());
  const context = await chromium.context({ viewport: { width: 640, height: 480 } });
  const ada = await joinByLink(context, edge.url, 'Ada', 'test', 'udp');
  const grace = await joinByLink(context, edge.url, 'Grace', 'test', 'udp');
  const errors = [ada, grace].map(collectErrors);

  // Pictures are decoded and sound is heard, both ways.
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
  }

  // The strip shows the rung, the join time, and how good the connection is.
  t.equal(await ada.evaluate(() => globalThis.sallyportCall?.rung), 'udp');
  t.match(await ada.locator('#figure-rung').textContent(), /^UDP/);
  const joinMs = await ada.evaluate(() => globalThis.sallyportCall?.stats().joinMs ?? 0);
  t.ok(joinMs > 0, `joined in ${joinMs.toFixed(0)} ms`);
  t.equal(await ada.locator('#figure-join').textContent(), `${(joinMs / 1_000).toFixed(2)}\u00a0s`);
  for (const id of ['sending', 'receiving', 'loss', 'round-trip']) {
    t.match(await ada.locator(`#figure-${id}`).textContent(), figure, id);
  }

  // Names, mute and camera show at the other end.
  t.equal(await ada.locator('#main-tile .nameplate span').textContent(), 'Grace');
  t.equal(await ada.locator('#main-tile').getAttribute('data-microphone'), 'on');
  await grace.getByRole('button', { name: 'Mute' }).click();
  await ada.locator('#main-tile[data-microphone=muted]').waitFor();
  t.ok(await ada.locator('#main-tile .nameplate .icon').isVisible());
  await grace.getByRole('button', { name: 'Unmute' }).click();
  await ada.locator('#main-tile[data-microphone=on]').waitFor();
  await grace.getByRole('button', { name: 'Camera off' }).click();
  await ada.locator('#main-tile[data-picture=portrait]').waitFor();
  await grace.getByRole('button', { name: 'Camera on' }).click();
  await ada.locator('#main-tile[data-picture=video]').waitFor();
  await framesGrow(ada, mainVideo, 10);
  t.pass('mute, unmute, camera off and on');

  t.same(errors, [[], []], 'the pages report no errors');
  t.same(edge.errors, [], 'the edge logs no errors');
});
