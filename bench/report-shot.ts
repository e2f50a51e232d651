/** `node dist/bench/report-shot.js <page.html> <picture.png> [selector] [width]`: a picture of a report, or of a part of it. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { launchChromium } from './e2e/chromium.ts';

const [page = '', picture = '', selector = 'body', width = '1160'] = process.argv.slice(2);
const chromium = await launchChromium({ pins: [] });
try {
  const context = await chromium.context({ viewport: { width: Number(width), height: 900 }, colorScheme: 'light' });
  const tab = await context.newPage();
  await tab.goto(page.startsWith('http') ? page : pathToFileURL(path.resolve(page)).href);
  await tab.locator(selector).first().screenshot({ path: picture });
} finally {
  await chromium.close();
}
