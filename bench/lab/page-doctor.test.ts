/** The doctor's page in networks that are known: what a browser can find out of them, and what it concludes. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import type { Page } from 'playwright-core';
import type { DoctorReport } from '../../client/index.ts';
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { chromiumMissing } from '../e2e/chromium.ts';
import { doctorReport } from '../e2e/page-tools.ts';
import { ChromiumClient } from './chromium-client.ts';
import { startLabEdge } from './lab-edge.ts';
import { labMissing, missingNeed } from './lab-missing.ts';
import { withNamespaces } from './namespaces.ts';
import type { Profile } from './profile.ts';
import { buffering } from './profiles/tls-inspect.ts';
import { udpBlocked } from './profiles/udp-blocked.ts';

t.setTimeout(170_000);

const skip =
  labMissing || chromiumMissing || (process.env['CI'] !== 'true' && missingNeed(['haproxy', 'nginx', 'openssl']));
const patienceMs = 30_000;
/** With a folder in it, pictures of the page go there, for people to look at. */
const album = process.env['DOCTOR_ALBUM'];

function diagnosed(profile: Profile, check: (report: DoctorReport) => void): Promise<void> {
  const { firewall = '', intermediary, name } = profile;
  return withNamespaces({ firewall }, async (lab) => {
    const edge = await startLabEdge(lab);
    const hop = intermediary === undefined ? null : await intermediary(lab);
    const client = await ChromiumClient.launch(lab, edge, hop);
    try {
      const page = await client.open(await client.context(), '/doctor', patienceMs);
      const report = await doctorReport(page);
      if (album !== undefined) await takePictures(page, album, name);
      check(report);
    } finally {
      await client.close();
      await hop?.close();
    }
  });
}

async function takePictures(page: Page, folder: string, name: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [size, width] of Object.entries({ desktop: 1280, phone: 390 })) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: path.join(folder, `${name}-${size}-${colorScheme}.png`), fullPage: true });
    }
  }
}

/** What works is among these, and something does; a machine that is busy otherwise may keep some from being in time. */
function worksBy(report: DoctorReport, possible: readonly Rung[]): boolean {
  const works = report.rungs.filter(({ outcome }) => outcome === 'works').map(({ rung }) => rung);
  return works.length > 0 && works.every((rung) => possible.includes(rung));
}

t.test('UDP is dropped', { skip }, (t) =>
  diagnosed(udpBlocked, (report) => {
    const byTcp = rungs.filter((rung) => !rung.endsWith('udp'));
    t.ok(worksBy(report, byTcp), JSON.stringify(report.rungs));
    t.ok(report.ms <= 30_000, `${String(report.ms)} ms`);
    t.match(report.advice, 'Allow UDP to 198.51.100.10, port 443');
  }),
);

t.test('TLS is read, Upgrade taken out, and answers are held back until they are complete', { skip }, (t) =>
  diagnosed(buffering, (report) => {
    t.ok(worksBy(report, ['long-poll']), JSON.stringify(report.rungs));
    t.ok(report.ms <= 30_000, `${String(report.ms)} ms`);
    t.match(report.network, { upgradeStripped: true, buffering: true, captivePortal: false, certificate: null });
    t.match(report.advice, 'Let the headers “Upgrade” and “Connection” pass');
  }),
);
