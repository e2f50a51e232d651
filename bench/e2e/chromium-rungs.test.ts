/** A real browser on every rung that its own ICE has, one alone at a time, through a real edge. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { joinInsecurely, packetsOf, publishClip, trackOf } from './node-tools.ts';
import { expectRung, framesGrow, joinByLink, nativeRungs, testTimeoutMs } from './page-tools.ts';

const [mainVideo] = videoSlotMids;

t.test('Chromium on each of its rungs', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const edge = await startEdge({ turn: true });
  t.teardown(() => edge.close());
  const chromium = await launchChromium({
    pins: edge.certificatePin === null ? [] : [edge.certificatePin],
    // Its TURN client refuses servers on the loopback address otherwise.
    flags: ['--allow-loopback-in-peer-connection'],
  });
  t.teardown(() => chromium.close());
  const context = await chromium.context({ viewport: { width: 640, height: 480 } });
  const grace = await joinInsecurely(edge.url, { room: 'r', name: 'Grace', rungs: ['websocket'] });
  t.teardown(() => grace.leave());
  const clip = await publishClip(grace);
  t.teardown(() => {
    clip.stop();
  });

  for (const rung of nativeRungs) {
    await t.test(`${rung} alone`, async (t) => {
      const page = await joinByLink(context, edge.url, 'Ada', 'r', rung);
      const errors = collectErrors(page);
      const joinMs = await page.evaluate(() => globalThis.sallyportCall?.stats().joinMs ?? 0);
      t.comment(`${rung}: joined in ${joinMs.toFixed(0)} ms`);

      await framesGrow(page, mainVideo, 15);
      t.pass('pictures are decoded');
      await packetsOf(await trackOf(grace, mainVideo), 30);
      t.pass('and the other end gets some');
      await expectRung(page, rung);
      t.match(await edge.metrics(), `sallyport_sessions{rung="${rung}"} 1\n`, 'the edge counts it so');
      t.same(
        await page.evaluate(() =>
          globalThis.sallyportCall?.attempts
            .filter(({ channel }) => channel !== 'control')
            .map(({ rung, outcome }) => [rung, outcome]),
        ),
        [[rung, 'connected']],
        'nothing else was tried',
      );

      await page.evaluate(() => globalThis.sallyportCall?.restartIce());
      await framesGrow(page, mainVideo, 15);
      await expectRung(page, rung);
      t.pass('an ICE restart goes the same way');
      t.same(errors, []);
      await page.evaluate(() => globalThis.sallyportCall?.leave());
      await page.close();
    });
  }

  t.same(edge.errors, [], 'the edge logs no errors');
});
