/** The demo page for people who use it by keyboard or screen reader: axe-core's rules, and a whole call without a mouse. */
import t from 'tap';
import type { Page } from 'playwright-core';
import { accessibilityFaults } from './accessibility.ts';
import { chromiumMissing, collectErrors, launchChromium } from './chromium.ts';
import { startEdge } from './edge.ts';
import { inCall, joinByLink, testTimeoutMs, until } from './page-tools.ts';

/** More than the page has places for the focus. */
const maxTabs = 30;

t.test('a call by keyboard alone, on a page without faults', { skip: chromiumMissing }, async (t) => {
  t.setTimeout(testTimeoutMs);
  const edge = await startEdge();
  t.teardown(() => edge.close());
  const chromium = await launchChromium();
  t.teardown(() => chromium.close());
  const viewport = { width: 640, height: 480 };
  await joinByLink(await chromium.context({ viewport }), edge.url, 'Grace', 'keys', 'udp');
  const page = await (await chromium.context({ viewport })).newPage();
  const errors = collectErrors(page);
  await page.goto(edge.url);
  await page.locator('#preview-camera[data-on=true]').waitFor();
  t.same(await accessibilityFaults(page, 'lobby'), []);

  // The form is empty, so its first field has the focus.
  t.equal(await focused(page), 'name');
  await page.keyboard.type('Ada');
  await tabTo(page, 'room');
  await page.keyboard.type('keys');
  await tabTo(page, 'preview-microphone', 'Shift+Tab');
  await page.keyboard.press('Space');
  await page.locator('#preview-microphone[data-on=false]').waitFor();
  await page.keyboard.press('Space');
  await page.locator('#preview-microphone[data-on=true]').waitFor();
  await tabTo(page, 'join-button');
  await page.keyboard.press('Enter');
  await inCall(page);
  await page.locator('#main-tile[data-picture=video]').waitFor();
  await page.locator('#toggle-microphone[data-state=""]').waitFor();

  await tabTo(page, 'details-button');
  await page.keyboard.press('Enter');
  await page.locator('#details').waitFor();
  t.same(await accessibilityFaults(page, 'call'), []);
  await page.keyboard.press('Enter');

  await tabTo(page, 'toggle-microphone');
  await page.keyboard.press('Enter');
  await page.locator('#toggle-microphone[data-state=off]').waitFor();
  t.equal(await focused(page), 'toggle-microphone', 'the focus stays where it was');
  t.same(await accessibilityFaults(page, 'muted'), []);
  await page.keyboard.press('Space');
  await page.locator('#toggle-microphone[data-state=""]').waitFor();

  await tabTo(page, 'toggle-screen');
  await page.keyboard.press('Enter');
  await page.locator('#toggle-screen[data-state=active]').waitFor();
  t.same(await accessibilityFaults(page, 'sharing'), []);
  await page.keyboard.press('Enter');
  await page.locator('#toggle-screen[data-state=""]').waitFor();

  await tabTo(page, 'open-devices');
  await page.keyboard.press('Enter');
  await page.locator('#devices-dialog[open]').waitFor();
  t.same(await accessibilityFaults(page, 'devices'), []);
  await page.keyboard.press('Escape');
  await page.locator('#devices-dialog[open]').waitFor({ state: 'detached' });
  t.equal(await focused(page), 'open-devices', 'the focus comes back from the dialog');

  await tabTo(page, 'leave');
  await page.keyboard.press('Enter');
  await page.locator('#join-form').waitFor();
  await until(page, () => globalThis.sallyportCall === null);
  t.equal(await focused(page), 'join-button', 'one key joins again');
  t.same(errors, [], 'the page reports no errors');
});

/** The id of what has the focus. */
async function focused(page: Page): Promise<string> {
  return (await page.locator(':focus').getAttribute('id')) ?? '';
}

/** Presses the key until the element has the focus; rejects when it cannot be reached. */
async function tabTo(page: Page, id: string, key = 'Tab'): Promise<void> {
  for (let presses = 0; presses < maxTabs; presses++) {
    if ((await page.evaluate('document.activeElement?.id ?? ""')) === id) return;
    await page.keyboard.press(key);
  }
  throw new Error(`no way to #${id} by ${key}`);
}
