import t from 'tap';
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { Invitation } from './invitation.ts';
import { pageFindings } from './page-findings.ts';
import type { PageSigns } from './page-findings.ts';
import type { RungOutcome } from './types.ts';
import { noFigures } from './verdicts.ts';

const invitation: Invitation = {
  room: 'doctor-x',
  token: 't',
  edge: { addresses: ['198.51.100.10'], ports: { tcp: 443, udp: 443, turnUdp: 3478 } },
  certificates: [],
  seenAs: '192.0.2.7',
  via: null,
};

function findings(outcomes: Partial<Record<Rung, RungOutcome>>, signs: Partial<PageSigns> = {}) {
  const verdicts = rungs.map((rung) => ({ ...noFigures, rung, outcome: outcomes[rung] ?? 'blocked' }));
  return pageFindings({ invitation, problem: null, verdicts, reached: [], ...signs });
}

const all = Object.fromEntries(rungs.map((rung) => [rung, 'works'])) as Record<Rung, RungOutcome>;

t.test('where everything works, nothing is in the way', (t) => {
  t.match(findings(all), { upgradeStripped: false, buffering: false, captivePortal: false, certificate: null });
  t.end();
});

t.test('WebSocket alone does not work', (t) => {
  t.match(findings({ ...all, websocket: 'blocked' }), { upgradeStripped: true, buffering: false });
  t.match(findings({}), { upgradeStripped: false }, 'nothing works, so nothing is known of headers');
  t.match(findings({ 'long-poll': 'works', websocket: 'untested' }), { upgradeStripped: false });
  t.end();
});

t.test('only complete answers arrive', (t) => {
  t.match(findings({ 'long-poll': 'works' }), { upgradeStripped: true, buffering: true });
  t.match(findings({ websocket: 'works' }), { buffering: false });
  t.end();
});

t.test('IPv6', (t) => {
  const { edge } = invitation;
  const both = { ...invitation, edge: { ...edge, addresses: ['198.51.100.10', '2001:db8::10'] } };
  t.equal(findings(all).ipv6, 'edge-has-none');
  t.equal(findings(all, { invitation: { ...invitation, seenAs: '2001:db8::7' } }).ipv6, 'works');
  t.equal(findings(all, { invitation: { ...invitation, seenAs: '::ffff:192.0.2.7' } }).ipv6, 'edge-has-none');
  t.equal(findings(all, { invitation: both, reached: ['198.51.100.10'] }).ipv6, 'not-from-here');
  t.equal(findings(all, { invitation: both, reached: ['198.51.100.10', '2001:db8::10'] }).ipv6, 'works');
  t.equal(findings({}, { invitation: both }).ipv6, 'unknown', 'ICE got no answer at all');
  t.equal(findings({}, { invitation: null }).ipv6, 'unknown');
  t.end();
});

t.test('a sign-in page', (t) => {
  const { captivePortal, seenAs } = findings({}, { invitation: null, problem: { code: 'captive-portal' } });
  t.ok(captivePortal);
  t.equal(seenAs, null);
  t.end();
});
