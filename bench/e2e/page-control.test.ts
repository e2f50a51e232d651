/** The page where no WebSocket opens: its control channel takes another carrier, of which the first view loads nothing. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { startHttpProxy } from './http-proxy.ts';
import { framesGrow, joinByLink, testTimeoutMs, until } from './page-tools.ts';

const [mainVideo] = videoSlotMids;

t.test('the page climbs by itself', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const proxy = Object.assign(await startHttpProxy(edge.url), { upgrades: false });
  t.teardown(() => proxy.close());
  const chromium = await launchChromium({ pins: edge.certificatePin === null ? [] : [edge.certificatePin] });
  t.teardown(() => chromium.close());
  const context = await chromium.context();
  const ada = await joinByLink(context, proxy.url, 'Ada', 'test', 'udp');
  const grace = await joinByLink(context, edge.url, 'Grace', 'test', 'udp');
  const errors = [ada, grace].map(collectErrors);
  t.equal(await ada.evaluate(() => globalThis.sallyportCall?.controlRung), 'http-stream');
  // On a busy machine another carrier may have been faster at first.
  await until(grace, () => globalThis.sallyportCall?.controlRung === 'websocket');
  for (const page of [ada, grace]) await framesGrow(page, mainVideo, 5);
  t.match(await ada.evaluate(() => globalThis.sallyportCall?.attempts.filter(({ channel }) => channel === 'control')), [
    { rung: 'websocket', outcome: 'failed' },
    { rung: 'http-stream', outcome: 'connected' },
  ]);
  await ada.getByRole('button', { name: 'Mute' }).click();
  await grace.locator('#main-tile[data-microphone=muted]').waitFor();

  // Answers are held back from now on, and the connection is cut.
  proxy.buffers = true;
  proxy.cut();
  await until(ada, () => globalThis.sallyportCall?.controlRung === 'long-poll');
  await ada.getByRole('button', { name: 'Unmute' }).click();
  await grace.locator('#main-tile[data-microphone=on]').waitFor();
  t.same(errors[1], []);
  t.same(edge.errors, []);
});
