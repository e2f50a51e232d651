/** WHIP and WHEP by clients that are not ours: GStreamer publishes to the page, and plays what the page publishes. */
import t from 'tap';
import { videoSlotMids, audioSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { gstreamerMissing, GstreamerPeer } from './gstreamer.ts';
import { framesGrow, joinByLink, testTimeoutMs, until } from './page-tools.ts';

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;
const skip = chromiumMissing || gstreamerMissing;

t.test(
  'GStreamer publishes to the page, and plays its camera and microphone',
  { skip, timeout: testTimeoutMs },
  async (t) => {
    const edge = await startEdge();
    t.teardown(() => edge.close());
    const chromium = await launchChromium();
    t.teardown(() => chromium.close());
    const page = await joinByLink(await chromium.context(), edge.url, 'Ada', 'stage', 'udp');

    const publisher = new GstreamerPeer({ role: 'whip', url: `${edge.url}/whip/stage?name=Camera+1` });
    t.teardown(() => publisher.close());
    const posted = await publisher.named('posted');
    t.match(posted, {
      status: 201,
      type: 'application/sdp',
      link: /^<turn:127\.0\.0\.1:\d+\?transport=tcp>; rel="ice-server"; username=/,
    });
    await publisher.state('connected');
    await page.locator('#main-tile .nameplate span', { hasText: 'Camera 1' }).waitFor();
    await framesGrow(page, mainVideo, 15);
    await until(
      page,
      (mid) => {
        const audio = globalThis.sallyportCall?.stats().tracks.find((track) => track.mid === mid);
        return audio !== undefined && audio.audioSamples > 48_000 && audio.audioEnergy > 0;
      },
      mainAudio,
    );
    t.pass('seen and heard');

    const player = new GstreamerPeer({ role: 'whep', url: `${edge.url}/whep/stage` });
    t.teardown(() => player.close());
    t.equal((await player.named('posted')).status, 201);
    await player.decoded('video', 20);
    await player.decoded('audio', 50);
    await until(page, () => globalThis.sallyportCall?.participants.length === 2);

    t.equal(await publisher.delete(), 200);
    await until(page, () => !globalThis.sallyportCall?.participants.some(({ name }) => name === 'Camera 1'));
    t.equal(await player.delete(), 200);
    await until(page, () => globalThis.sallyportCall?.participants.length === 0);
    t.strictSame(edge.errors, []);
  },
);
