/** A tab and a Node client in one room: two implementations of WebRTC, and two rungs, with the same SFU between them. */
import t from 'tap';
import { audioSlotMids, isKeyFrame, videoSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { GapMeter, packetsOf, publishClip, statsUntil, trackOf, withEdge } from './node-tools.ts';
import { framesGrow, joinByLink, testTimeoutMs, trackStats } from './page-tools.ts';

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;
const observedMs = 6000;
/** More than this without a packet is noticed by people. */
const noticeableGapMs = 250;

t.test('a tab and a Node client on the tunnel', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t);
  const browser = await launchChromium();
  cleanUp(() => browser.close());
  const page = await joinByLink(await browser.context(), edge.url, 'Ada');
  const errors = collectErrors(page);
  const node = await joined(edge.url, { room: 'test', name: 'Grace', rungs: ['websocket'] });
  t.equal(node.rung, 'websocket');
  const source = await publishClip(node);
  cleanUp(() => {
    source.stop();
  });

  await t.test('the tab decodes the clip', async (t) => {
    await framesGrow(page, mainVideo, 10);
    const before = { sent: source.framesSent, decoded: (await trackStats(page, mainVideo))?.frames ?? 0 };
    await new Promise((resolve) => setTimeout(resolve, observedMs));
    const decoded = ((await trackStats(page, mainVideo))?.frames ?? 0) - before.decoded;
    const sent = source.framesSent - before.sent;
    t.ok(decoded >= sent * 0.8, `${String(decoded)} frames decoded of ${String(sent)} sent`);
    const audio = await trackStats(page, mainAudio);
    t.ok((audio?.audioEnergy ?? 0) > 0, 'the tone is heard');
  });

  await t.test('the Node client gets the tab’s camera, in clear, with key frames', async (t) => {
    const track = await trackOf(node, mainVideo);
    let keyFrames = 0;
    track.onReceiveRtp.subscribe((packet) => {
      if (isKeyFrame('vp8', packet.payload, 0, packet.payload.length)) keyFrames++;
    });
    node.requestKeyFrame(mainVideo);
    await packetsOf(track, 50);
    await statsUntil(node, () => keyFrames > 0);
    t.ok(keyFrames > 0);
  });
  t.same(errors, []);
});

t.test('a Node client changes rungs under a tab', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t);
  const browser = await launchChromium();
  cleanUp(() => browser.close());
  const page = await joinByLink(await browser.context(), edge.url, 'Ada');
  const node = await joined(edge.url, { room: 'test', name: 'Grace', rungs: ['udp', 'websocket'] });
  await node.switchRung('websocket');
  const source = await publishClip(node);
  cleanUp(() => {
    source.stop();
  });
  const audio = await trackOf(node, mainAudio);
  await packetsOf(audio, 50);
  await framesGrow(page, mainVideo, 10);
  const meter = new GapMeter(audio);
  cleanUp(() => {
    meter.stop();
  });
  for (const rung of ['udp', 'websocket'] as const) {
    await node.switchRung(rung);
    t.equal(node.rung, rung);
    await packetsOf(audio, 60);
    await framesGrow(page, mainVideo, 20);
  }
  t.ok(meter.longestMs <= noticeableGapMs, `${meter.longestMs.toFixed(0)} ms without audio at most`);
});
