import t from 'tap';
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { RungAttempt } from '../call.ts';
import { changeText, rungLine, rungNames } from './ladder-words.ts';

const ladder = (...attempts: RungAttempt[]): ReadonlyMap<Rung, RungAttempt> =>
  new Map(attempts.map((attempt) => [attempt.rung, attempt]));

t.test('what became of each rung', (t) => {
  const line = (attempt: RungAttempt, used: Rung | null): string => {
    const { state, text } = rungLine(attempt.rung, attempt, used);
    return `${state}: ${text}`;
  };
  t.equal(line({ rung: 'udp', outcome: 'connected', ms: 160 }, 'udp'), 'used: in use');
  t.equal(line({ rung: 'udp', outcome: 'pending', ms: 160 }, 'udp'), 'used: in use');
  t.equal(line({ rung: 'udp', outcome: 'pending', ms: 1 }, null), 'open: trying…');
  t.equal(line({ rung: 'udp', outcome: 'pending', ms: 1 }, 'ice-tcp'), 'open: no answer so far');
  t.equal(line({ rung: 'turn-tcp', outcome: 'pending', ms: 1 }, 'ice-tcp'), 'open: trying…');
  t.equal(line({ rung: 'ice-tcp', outcome: 'connected', ms: 1 }, 'udp'), 'spare: works, in reserve');
  t.equal(line({ rung: 'turn-tls', outcome: 'superseded', ms: 1 }, 'udp'), 'open: not needed');
  t.equal(line({ rung: 'turn-tls', outcome: 'superseded', ms: 1, reason: 'ready' }, 'udp'), 'spare: ready');
  t.equal(line({ rung: 'udp', outcome: 'failed', ms: 1, reason: 'no answer' }, null), 'failed: no answer');
  t.equal(line({ rung: 'ice-tcp', outcome: 'skipped', ms: 1, reason: 'not there' }, 'udp'), 'out: not there');
  t.same(rungLine('turn-udp', undefined, 'udp'), { state: 'out', text: 'left out' });
  t.same(Object.keys(rungNames), rungs);
  t.end();
});

t.test('why media moved', (t) => {
  const udp = { rung: 'udp', outcome: 'connected', ms: 1 } as const;
  const tcp = { rung: 'ice-tcp', outcome: 'connected', ms: 1 } as const;
  const silent = [
    { rung: 'udp', outcome: 'pending', ms: 1 },
    { rung: 'turn-udp', outcome: 'failed', ms: 1 },
  ] as const;
  t.equal(changeText({ from: null, to: 'udp', reason: 'joined' }, ladder(udp, tcp)), 'UDP, direct (joined)');
  t.equal(
    changeText({ from: null, to: 'ice-tcp', reason: 'joined' }, ladder(tcp)),
    'ICE over TCP (joined; no other way is allowed)',
  );
  t.equal(
    changeText({ from: null, to: 'ice-tcp', reason: 'joined' }, ladder(...silent, tcp)),
    'ICE over TCP (joined; no way through for UDP, direct, TURN over UDP)',
  );
  t.equal(
    changeText({ from: 'ice-tcp', to: 'udp', reason: 'better-rung-proven' }, ladder(udp, tcp)),
    'UDP, direct (a better way was found)',
  );
  t.equal(
    changeText({ from: 'udp', to: 'ice-tcp', reason: 'rung-failed' }, ladder(udp, tcp)),
    'ICE over TCP (the way before failed)',
  );
  t.end();
});
