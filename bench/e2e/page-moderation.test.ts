/** What others do to a call that runs in a real browser: an ICE restart, a moderator who mutes and removes. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { framesGrow, joinByLink, testTimeoutMs, until } from './page-tools.ts';

const [mainVideo] = videoSlotMids;

t.test('restart, mute by a moderator, removal', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const chromium = await launchChromium();
  t.teardown(() => chromium.close());
  const context = await chromium.context({ viewport: { width: 640, height: 480 } });
  const ada = await joinByLink(context, edge.url, 'Ada', 'test', 'udp');
  const grace = await joinByLink(context, edge.url, 'Grace', 'test', 'udp');
  const errors = [ada, grace].map(collectErrors);
  await framesGrow(ada, mainVideo, 10);

  const ufrag = (): Promise<string | undefined> =>
    ada.evaluate(() => /a=ice-ufrag:(\S+)/.exec(globalThis.sallyportCall?.peer?.localDescription?.sdp ?? '')?.[1]);
  const before = await ufrag();
  await ada.evaluate(() => globalThis.sallyportCall?.restartIce());
  t.not(await ufrag(), before, 'an ICE restart makes new credentials');
  await framesGrow(ada, mainVideo, 20);
  t.ok(await ada.evaluate(() => globalThis.sallyportCall?.stats().mediaConnected), 'and media goes on');

  const admin = await edge.tokens.issueJoinToken(
    { room: '*', identity: 'moderator', name: null, can: ['admin'], hidden: false },
    60,
  );
  const [target] = await ada.evaluate(() => globalThis.sallyportCall?.participants.map(({ id }) => id) ?? []);
  const moderate = async (action: string, body: object): Promise<number> => {
    const response = await context.request.post(`${edge.url}/v1/rooms/test/participants/${target ?? ''}/${action}`, {
      headers: { authorization: `Bearer ${admin}` },
      data: body,
      // The edge may just be closing the idle connection of the request before.
      maxRetries: 1,
    });
    return response.status();
  };
  t.equal(await moderate('mute', { source: 'microphone' }), 204);
  await ada.locator('#main-tile[data-microphone=muted]').waitFor();
  await grace.getByRole('button', { name: 'Unmute' }).waitFor();
  await grace.locator('.notice', { hasText: 'A moderator muted you.' }).waitFor();

  t.equal(await moderate('kick', {}), 204);
  await grace.locator('#join-problem', { hasText: 'You were removed from the room.' }).waitFor();
  t.equal(await grace.evaluate(() => globalThis.sallyportCall), null);
  await until(ada, () => globalThis.sallyportCall?.participants.length === 0);
  await ada.locator('#waiting').waitFor();
  t.same(errors, [[], []], 'the pages report no errors');
  t.same(edge.errors, [], 'the edge logs no errors');
});
