/** People come and go in a call of real browser tabs; slots are filled anew, and nothing is renegotiated. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { framesGrow, joinByLink, testTimeoutMs, until } from './page-tools.ts';

const [mainVideo, firstThumbnail] = videoSlotMids;

t.test('slots fill and empty', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const chromium = await launchChromium();
  t.teardown(() => chromium.close());
  const context = await chromium.context({ viewport: { width: 640, height: 480 } });
  const ada = await joinByLink(context, edge.url, 'Ada', 'test', 'udp');
  const errors = collectErrors(ada);
  await ada.evaluate(() => {
    globalThis.negotiations = 0;
    globalThis.sallyportCall?.peer?.addEventListener('signalingstatechange', () => globalThis.negotiations++);
  });
  t.ok(await ada.locator('#waiting').isVisible(), 'alone at first');

  const grace = await joinByLink(context, edge.url, 'Grace', 'test', 'udp');
  await ada.locator('#main-tile .nameplate', { hasText: 'Grace' }).waitFor();
  await framesGrow(ada, mainVideo, 10);

  // A third one: one of the two is main, the other a thumbnail.
  const radia = await joinByLink(context, edge.url, 'Radia', 'test', 'udp');
  const thumbnail = ada.locator('#rail button[data-picture=video]');
  await thumbnail.waitFor();
  const names = await ada.locator('#main-tile .nameplate span, #rail .nameplate span').allTextContents();
  t.same(names.sort(), ['Grace', 'Radia']);
  t.equal(await ada.locator('#people').textContent(), '3');
  await framesGrow(ada, firstThumbnail, 10);
  await framesGrow(ada, mainVideo, 10);

  // Whoever is chosen becomes main, until the choice is taken back.
  const chosen = (await thumbnail.locator('.nameplate').textContent()) ?? '';
  await thumbnail.click();
  await ada.locator('#main-tile .nameplate', { hasText: chosen }).waitFor();
  await framesGrow(ada, mainVideo, 10);
  await ada.getByRole('button', { name: 'Stop pinning' }).click();
  await ada.locator('#unpin').waitFor({ state: 'hidden' });

  // One leaves by the button, and the other is all that is shown.
  await radia.getByRole('button', { name: 'Leave' }).click();
  await radia.locator('#join-form').waitFor();
  await ada.locator('#main-tile .nameplate', { hasText: 'Grace' }).waitFor();
  await ada.locator('#rail button').waitFor({ state: 'detached' });
  await framesGrow(ada, mainVideo, 10);

  // The last other one closes the tab: the slots are empty.
  await grace.close({ runBeforeUnload: true });
  await until(ada, () => globalThis.sallyportCall?.slots.every((slot) => slot.participant === null) === true);
  await ada.locator('#waiting').waitFor();
  t.equal(await ada.locator('#main-tile').isVisible(), false);
  t.equal(await ada.evaluate(() => globalThis.sallyportCall?.peer?.signalingState), 'stable');
  t.equal(await ada.evaluate(() => globalThis.negotiations), 0, 'no offer after the first');
  t.same(errors, [], 'the page reports no errors');
  t.same(edge.errors, [], 'the edge logs no errors');
});
