/** The doctor's page in a real browser, against an edge that everything reaches, by keyboard as well. */
import t from 'tap';
import { rungs } from '../../tunnel-protocol/index.ts';
import { accessibilityFaults } from './accessibility.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { doctorReport, testTimeoutMs } from './page-tools.ts';

t.test('every way has its verdict, and the text can be taken along', { skip: chromiumMissing }, async (t) => {
  t.setTimeout(testTimeoutMs);
  // Nobody who tests is in any room, so they have no token.
  const edge = await startEdge({ environment: { SALLYPORT_AUTH: 'token' }, turn: true });
  t.teardown(() => edge.close());
  const chromium = await launchChromium({
    pins: edge.certificatePin === null ? [] : [edge.certificatePin],
    flags: ['--allow-loopback-in-peer-connection'],
  });
  t.teardown(() => chromium.close());
  const context = await chromium.context({ permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  const errors = collectErrors(page);
  await page.goto(`${edge.url}/doctor`);
  const whileItRuns = await accessibilityFaults(page, 'running');
  const report = await doctorReport(page);

  t.ok(report.ms <= 30_000, `${String(report.ms)} ms`);
  t.strictSame(
    report.rungs.map(({ rung }) => rung),
    rungs,
  );
  // On a machine that is busy otherwise one or the other may not be in time.
  const works = report.rungs.filter(({ outcome }) => outcome === 'works');
  t.ok(works.length > 0, JSON.stringify(report.rungs));
  for (const { rung, joinMs, latencyMs, bitsPerSecond, lossFraction } of works) {
    t.ok(joinMs !== null && joinMs > 0, `${rung} took time`);
    t.ok(latencyMs !== null && latencyMs >= 0, `${rung} has a latency`);
    t.ok(bitsPerSecond !== null && bitsPerSecond > 0, `${rung} carries something`);
    t.ok(lossFraction !== null && lossFraction < 1, `${rung} delivers`);
    await page.locator(`[data-rung=${rung}][data-outcome=works]`).waitFor();
  }
  t.match(report, { edge: { ports: { tcp: edge.port } }, problem: null, network: { captivePortal: false } });
  t.equal(await page.locator('#advice').textContent(), report.advice);
  t.match(report.advice, 'Works without any change:');

  t.same(whileItRuns, []);
  t.same(await accessibilityFaults(page, 'finished'), []);

  // From the beginning of the page by the keyboard alone.
  await page.locator('body').press('Tab');
  const focused = async (): Promise<string> => ((await page.locator(':focus').textContent()) ?? '').trim();
  const reached: string[] = [];
  for (let presses = 0; presses < 8 && reached.at(-1) !== 'Copy text'; presses++) {
    reached.push(await focused());
    if (reached.at(-1) !== 'Copy text') await page.keyboard.press('Tab');
  }
  t.ok(reached.includes('Test again'), reached.join(', '));
  await page.keyboard.press('Enter');
  await page.locator('#copied', { hasText: 'clipboard' }).waitFor();
  t.equal(await page.evaluate('navigator.clipboard.readText()'), report.advice);

  const [download] = await Promise.all([page.waitForEvent('download'), page.locator('#save').click()]);
  t.equal(download.suggestedFilename(), 'sallyport-doctor.json');
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  t.strictSame(JSON.parse(Buffer.concat(chunks).toString()), report);

  const remembered = await page.evaluate<string>(`localStorage.getItem('sallyport') ?? ''`);
  t.notMatch(remembered, /long-poll|tunnel/, 'what a test ended on does not decide for calls');
  t.same(errors, [], 'the page reports no errors');
});
