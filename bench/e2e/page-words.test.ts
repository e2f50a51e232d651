/** What the page says when things are not as they should be: devices refused, rungs it lacks, tokens missing or wrong. */
import t from 'tap';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { inCall, testTimeoutMs } from './page-tools.ts';

t.test('the page in plain words', { skip: chromiumMissing, timeout: testTimeoutMs }, async (t) => {
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const guarded = await startEdge({ environment: { SALLYPORT_AUTH: 'token' } });
  t.teardown(() => guarded.close());
  const chromium = await launchChromium();
  t.teardown(() => chromium.close());
  const context = await chromium.context({ viewport: { width: 640, height: 480 } });

  await t.test('whoever refuses camera and microphone joins all the same, and is told', async (t) => {
    const refusing = await launchChromium({ flags: ['--use-fake-ui-for-media-stream=deny'] });
    t.teardown(() => refusing.close());
    const page = await (await refusing.context()).newPage();
    const errors = collectErrors(page);
    await page.goto(`${edge.url}/?room=careful&name=Ada&join=1`);
    await inCall(page);
    for (const device of ['camera', 'microphone']) {
      const notice = page.locator('.notice', { hasText: `The browser may not use the ${device}.` });
      await notice.waitFor();
      t.match(await notice.textContent(), /use the icon beside the page’s address.*You can take part without it\./);
    }
    await page.getByRole('button', { name: 'Camera on' }).waitFor();
    await page.getByRole('button', { name: 'Unmute' }).waitFor();
    t.equal(await page.locator('#self-tile').getAttribute('data-picture'), 'portrait');
    t.same(errors, []);
  });

  await t.test('a rung that this browser cannot do', async (t) => {
    const page = await context.newPage();
    await page.addInitScript(() => {
      Reflect.deleteProperty(globalThis, 'VideoEncoder');
    });
    await page.goto(`${edge.url}/?room=r&name=Ada&join=1&rung=websocket`);
    const problem = page.locator('#join-problem');
    await problem.waitFor();
    t.match(await problem.textContent(), /“websocket”, for which this browser lacks Web Codecs/);
    t.equal(await page.evaluate(() => globalThis.sallyportCall), null, 'it did not join by something else');
    await page.getByRole('link', { name: 'Join by the best way instead' }).click();
    await inCall(page);
    t.ok(await page.evaluate(() => globalThis.sallyportCall?.rung));
    await page.close();
  });

  await t.test('rungs that do not exist, or that this server does not offer', async (t) => {
    const page = await context.newPage();
    const problem = page.locator('#join-problem');
    await page.goto(`${edge.url}/?room=r&name=Ada&join=1&rung=pigeon`);
    await problem.waitFor();
    t.match(await problem.textContent(), /“pigeon”, which does not exist/);
    await page.goto(`${edge.url}/?room=r&name=Ada&join=1&rung=turn-udp`);
    await problem.waitFor();
    t.match(await problem.textContent(), /“turn-udp”, which this server does not offer/);
    t.equal(await page.evaluate(() => globalThis.sallyportCall), null, 'it did not join by something else');
    t.ok(await page.getByRole('link', { name: 'Join by the best way instead' }).isVisible());
    await page.close();
  });

  await t.test('tokens: none, a bad one, a good one in the query', async (t) => {
    const page = await context.newPage();
    await page.goto(`${guarded.url}/?room=r&name=Ada&join=1`);
    const problem = page.locator('#join-problem');
    await problem.waitFor();
    t.match(await problem.textContent(), /admits invited people only/);

    await page.goto(`${guarded.url}/?room=r&name=Ada&join=1&again#token=not.a.token`);
    await problem.waitFor();
    t.match(await problem.textContent(), /Your invitation is not valid here/);

    const grant = { room: 'r', identity: 'ada', name: null, can: ['publish', 'subscribe'], hidden: false } as const;
    const token = await guarded.tokens.issueJoinToken(grant, 60);
    await page.goto(`${guarded.url}/?room=r&name=Ada&join=1&token=${token}`);
    await inCall(page);
    const address = new URL(page.url());
    t.equal(address.searchParams.has('token'), false, 'the token is no longer in the query');
    t.equal(new URLSearchParams(address.hash.slice(1)).get('token'), token, 'but in the fragment');
    t.notMatch(await page.locator('#waiting-link').textContent(), /token/, 'invitations hold no token');
    await page.close();
  });

  await t.test('by hand: the form, and what it remembers', async (t) => {
    const page = await context.newPage();
    const errors = collectErrors(page);
    await page.goto(`${edge.url}/`);
    await page.getByLabel('Your name').fill('Ada Lovelace');
    await page.getByLabel('Room').fill('engine room');
    await page.getByRole('button', { name: 'Join', exact: true }).click();
    await inCall(page);
    t.match(page.url(), /room=engine\+room/);
    t.equal(await page.locator('#room-title').textContent(), 'engine room');
    await page.getByRole('button', { name: 'Leave' }).click();
    await page.locator('#join-form').waitFor();
    await page.goto(`${edge.url}/?`);
    t.equal(await page.getByLabel('Your name').inputValue(), 'Ada Lovelace');
    t.equal(await page.getByLabel('Room').inputValue(), 'engine room');
    t.same(errors, []);
    await page.close();
  });
  t.same([...edge.errors, ...guarded.errors], [], 'the edges log no errors');
});
