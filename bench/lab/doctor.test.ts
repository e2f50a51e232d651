/** The doctor's verdicts in networks that are known: real firewalls, haproxy and nginx between it and the edge. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { DoctorReport } from '../../client/index.ts';
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { startLabEdge } from './lab-edge.ts';
import { labMissing, missingNeed } from './lab-missing.ts';
import { withNamespaces } from './namespaces.ts';
import type { Profile } from './profile.ts';
import { buffering, captive } from './profiles/tls-inspect.ts';
import { udpBlocked } from './profiles/udp-blocked.ts';

t.setTimeout(110_000);

const skip = labMissing || (process.env['CI'] !== 'true' && missingNeed(['haproxy', 'nginx', 'openssl']));
const program = fileURLToPath(new URL('../../gateway/cli/main.js', import.meta.url));

/** What the doctor says from the client's namespace of such a network. */
function diagnosed({ firewall = '', intermediary }: Profile, check: (report: DoctorReport) => void): Promise<void> {
  return withNamespaces({ firewall }, async (lab) => {
    const edge = await startLabEdge(lab);
    const hop = intermediary === undefined ? null : await intermediary(lab);
    const ca = path.join(lab.folder, 'company-ca.pem');
    if (hop?.ca !== undefined) await writeFile(ca, hop.ca);
    const trust = hop?.ca === undefined ? [] : ['--ca', ca];
    // Its exit code says whether calls work; the report is printed in either case.
    const command = [
      'sh',
      '-c',
      '"$@" || test $? -eq 2',
      'sh',
      process.execPath,
      program,
      'doctor',
      edge.url,
      '--json',
    ];
    check(JSON.parse(await lab.client.run([...command, ...trust])) as DoctorReport);
    await hop?.close();
  });
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
    t.match(report.network, { certificate: { intercepted: false } });
    t.match(report.advice, 'Allow UDP to 198.51.100.10, port 443');
  }),
);

t.test('TLS is read, Upgrade taken out, and answers are held back until they are complete', { skip }, (t) =>
  diagnosed(buffering, (report) => {
    t.ok(worksBy(report, ['long-poll']), JSON.stringify(report.rungs));
    t.ok(report.ms <= 30_000, `${String(report.ms)} ms`);
    t.match(report.network, {
      certificate: { intercepted: true, trusted: true, issuer: /Company/ },
      upgradeStripped: true,
      buffering: true,
    });
    t.match(report.advice, 'Let the headers “Upgrade” and “Connection” pass');
  }),
);

t.test('a sign-in page answers', { skip }, (t) =>
  diagnosed(captive, (report) => {
    t.ok(report.rungs.every(({ outcome }) => outcome === 'untested'));
    t.match(report, { edge: null, problem: { code: 'captive-portal' }, network: { captivePortal: true } });
    t.match(report.network.certificate, { trusted: false });
    t.match(report.advice, 'Sign in to this network first');
  }),
);
