import t from 'tap';
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { NetworkFindings, RungOutcome, RungVerdict } from '../doctor/types.ts';
import { noFigures } from '../doctor/verdicts.ts';
import { headline, networkLines, reasonOf } from './doctor-words.ts';

const clean: NetworkFindings = {
  proxy: null,
  certificate: null,
  upgradeStripped: false,
  buffering: false,
  captivePortal: false,
  ipv6: 'edge-has-none',
  seenAs: null,
  via: null,
};

function verdicts(rest: RungOutcome, outcomes: Partial<Record<Rung, RungOutcome>> = {}): RungVerdict[] {
  return rungs.map((rung) => ({ ...noFigures, rung, outcome: outcomes[rung] ?? rest }));
}

function textOf(name: string, rungs: RungVerdict[], network: Partial<NetworkFindings> = {}): string | undefined {
  return networkLines({ rungs, network: { ...clean, ...network } }).find((line) => line.name === name)?.text;
}

t.test('one sentence for all', (t) => {
  const facts = { problem: null, network: clean };
  t.match(headline({ ...facts, rungs: verdicts('works') }), { tone: 'good', title: /best way/ });
  t.match(headline({ ...facts, rungs: verdicts('blocked', { websocket: 'works', 'long-poll': 'works' }) }), {
    tone: 'fair',
    title: /WebSocket/,
  });
  t.match(headline({ ...facts, rungs: verdicts('blocked') }), { tone: 'bad', title: 'Calls do not work here' });
  const problem = { code: 'edge-unreachable', message: 'The edge cannot be reached.' };
  t.match(headline({ ...facts, problem, rungs: verdicts('untested') }), { tone: 'bad', advice: problem.message });
  const network = { ...clean, captivePortal: true };
  t.match(headline({ network, problem, rungs: verdicts('untested') }), { tone: 'bad', title: /sign-in page/ });
  t.end();
});

t.test('what was seen of the network', (t) => {
  t.equal(textOf('UDP', verdicts('works')), 'passes');
  t.equal(textOf('UDP', verdicts('blocked', { 'turn-udp': 'works' })), 'passes');
  t.equal(textOf('UDP', verdicts('works', { udp: 'blocked', 'turn-udp': 'not-offered' })), 'is blocked');
  t.match(textOf('WebSocket', verdicts('works'), { upgradeStripped: true }), /Upgrade/);
  t.match(textOf('Answers', verdicts('works'), { buffering: true }), /held back/);
  t.equal(textOf('Sign-in page', verdicts('works')), 'none');
  t.match(textOf('Sign-in page', verdicts('untested'), { captivePortal: true }), /somebody else/);
  t.match(textOf('Sign-in page', verdicts('untested')), /could not/);
  t.match(textOf('IPv6', verdicts('works'), { ipv6: 'works' }), /works/);
  t.match(textOf('Proxy', verdicts('works'), { via: '1.1 proxy' }), /1\.1 proxy/);
  t.equal(textOf('Seen as', verdicts('works')), undefined);
  t.end();
});

t.test('a reason belongs to what does not work', (t) => {
  t.equal(reasonOf({ ...noFigures, rung: 'udp', outcome: 'works', detail: 'x' }), '');
  t.equal(reasonOf({ ...noFigures, rung: 'udp', outcome: 'blocked', detail: 'x' }), 'x');
  t.equal(reasonOf({ ...noFigures, rung: 'udp', outcome: 'blocked' }), '');
  const told = {
    ...noFigures,
    rung: 'udp',
    outcome: 'blocked',
    code: 'media-unreachable',
    detail: 'option rungs',
  } as const;
  t.notMatch(reasonOf(told), 'option');
  t.end();
});
