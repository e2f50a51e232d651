/**
 * Makes docs/images/demo-page.png: a real call through a real edge, with drawn people before the cameras.
 * `node dist/bench/screenshot.js [folder]`: with a folder, the pages at other sizes and in both colour schemes go there.
 */
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContext, Page } from 'playwright-core';
import { launchChromium } from './e2e/chromium.ts';
import { startEdge } from './e2e/edge.ts';
import { doctorReport, inCall } from './e2e/page-tools.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const target = path.join(root, 'docs/images/demo-page.png');
const camera = path.join(root, 'bench/screenshot-camera.js');
const maxBytes = 300 * 1024;
const desktop = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };
/** Until rates and losses are known. */
const settleMs = 6_000;

const folder = process.argv[2];
const edge = await startEdge({ turn: true });
const chromium = await launchChromium({
  pins: edge.certificatePin === null ? [] : [edge.certificatePin],
  flags: ['--allow-loopback-in-peer-connection'],
});
try {
  const context = await chromium.context({ viewport: desktop, colorScheme: 'light' });
  await context.addInitScript({ path: camera });
  const page = await enter(context, 'Ada');
  const others = [await enter(context, 'Grace'), await enter(context, 'Radia'), await enter(context, 'Alan')];
  await others[2]?.getByRole('button', { name: 'Mute' }).click();
  await others[0]?.getByRole('button', { name: 'Camera off' }).click();
  await page.locator('#main-tile[data-picture=video]').waitFor();
  await page.locator('#rail button').nth(1).waitFor();
  await page.waitForTimeout(settleMs);
  await mkdir(path.dirname(target), { recursive: true });
  await page.screenshot({ path: target });
  const { size } = await stat(target);
  console.log(`${path.relative(root, target)}: ${String(Math.round(size / 1024))} KiB`);
  if (size > maxBytes) throw new Error(`the picture is larger than ${String(maxBytes / 1024)} KiB`);
  if (folder !== undefined) await album(page, folder);
} finally {
  await chromium.close();
  await edge.close();
}

async function enter(context: BrowserContext, name: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${edge.url}/?room=standup&name=${name}&join=1`);
  await inCall(page);
  return page;
}

async function album(page: Page, into: string): Promise<void> {
  await mkdir(into, { recursive: true });
  await take(page, path.join(into, 'call'));
  await page.setViewportSize(desktop);
  await page.getByRole('button', { name: 'Details' }).click();
  await take(page, path.join(into, 'details'));
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.locator('#join-form').waitFor();
  await page.locator('#preview-camera[data-on=true]').waitFor();
  await page.waitForTimeout(1_000);
  await take(page, path.join(into, 'join'));
  for (const other of page.context().pages()) if (other !== page) await other.close();
  await page.setViewportSize(desktop);
  await page.goto(`${edge.url}/doctor`);
  await page.locator('#ways tr').first().waitFor();
  await take(page, path.join(into, 'doctor-running'));
  await doctorReport(page);
  await take(page, path.join(into, 'doctor-finished'));
}

/** At two sizes, in both colour schemes. */
async function take(page: Page, name: string): Promise<void> {
  for (const [size, viewport] of Object.entries({ desktop, phone })) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(300);
      await page.screenshot({ path: `${name}-${size}-${colorScheme}.png` });
    }
  }
}
