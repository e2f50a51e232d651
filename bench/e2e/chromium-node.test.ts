/**
 * A real browser gets and decodes what a Node client sends by the tunnel, and the other way. How much of it, `npm run bench
 * -- ladder` measures.
 */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { IvfRecorder, loadClip } from '../../client/index.ts';
import { chromiumMissing, launchChromium } from './chromium.ts';
import { packetsOf, publishClip, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';
import { framesGrow, joinByLink, trackStats } from './page-tools.ts';

const [mainVideo] = videoSlotMids;

t.setTimeout(testTimeoutMs);

t.test('a tab on UDP and a Node client on the tunnel', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t);
  const chromium = await launchChromium();
  cleanUp(() => chromium.close());
  const page = await joinByLink(await chromium.context(), edge.url, 'Ada', 'r', 'udp');
  const grace = await joined(edge.url, { room: 'r', name: 'Grace', rungs: ['websocket'] });

  await t.test('the tab gets the clip, and decodes it', async (t) => {
    const source = await publishClip(grace);
    cleanUp(() => {
      source.stop();
    });
    await framesGrow(page, mainVideo, 75);
    t.match(await trackStats(page, mainVideo), { direction: 'receive', width: 640 });
  });

  await t.test('the Node client records the fake camera: whole frames, beginning at a key frame', async (t) => {
    const file = `${t.testdir()}/camera.ivf`;
    const recorder = await IvfRecorder.open(file);
    const track = await trackOf(grace, mainVideo);
    recorder.record(track, () => {
      grace.requestKeyFrame(mainVideo);
    });
    while (recorder.frames < 20) await packetsOf(track, 5);
    await recorder.close();
    const { video } = await loadClip([file]);
    t.ok((video?.frames.length ?? 0) >= 20);
    t.ok((video?.width ?? 0) >= 160, `${String(video?.width)} × ${String(video?.height)}`);
    t.equal(video?.frames[0]?.keyFrame, true);
  });
});
