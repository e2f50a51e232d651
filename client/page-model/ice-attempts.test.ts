import t from 'tap';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { IceAttempts } from './ice-attempts.ts';
import type { RungPair } from './ice-attempts.ts';

const pair = (rung: Rung, state: RungPair['state'], id: string = rung): RungPair => ({ id, rung, state });

t.test('UDP is silent, TCP answers, TURN over TLS is ready and not needed', (t) => {
  const attempts = new IceAttempts();
  attempts.begin(['udp', 'turn-udp', 'ice-tcp', 'turn-tcp', 'turn-tls'], 1000);
  attempts.relayFailed('turn-udp', 'TURN allocate request timed out. (701)', 1050);
  attempts.relayAnswered('turn-tls');
  attempts.observe({ selected: null, pairs: [pair('udp', 'in-progress'), pair('ice-tcp', 'in-progress')] }, 1100);
  t.same(
    attempts.list(1100).map(({ outcome }) => outcome),
    ['pending', 'failed', 'pending', 'pending', 'pending'],
  );
  attempts.observe({ selected: 'ice-tcp', pairs: [pair('udp', 'in-progress'), pair('ice-tcp', 'succeeded')] }, 1200);
  t.same(attempts.list(1300), [
    { rung: 'udp', outcome: 'pending', ms: 300 },
    { rung: 'turn-udp', outcome: 'failed', ms: 50, reason: 'TURN allocate request timed out. (701)' },
    { rung: 'ice-tcp', outcome: 'connected', ms: 200 },
    { rung: 'turn-tcp', outcome: 'superseded', ms: 200 },
    { rung: 'turn-tls', outcome: 'superseded', ms: 200, reason: 'ready, not needed' },
  ]);
  attempts.relayAnswered('turn-tcp');
  t.match(attempts.latest(1300).get('turn-tcp'), { outcome: 'superseded', ms: 200, reason: 'ready, not needed' });
  attempts.observe({ selected: 'ice-tcp', pairs: [pair('udp', 'failed'), pair('udp', 'failed', 'udp2')] }, 16_000);
  t.same(attempts.latest(20_000).get('udp'), { rung: 'udp', outcome: 'failed', ms: 15_000, reason: 'no answer' });
  t.end();
});

t.test('a rung that failed from one address of this machine and works from another', (t) => {
  const attempts = new IceAttempts();
  attempts.begin(['turn-udp'], 0);
  attempts.relayFailed('turn-udp', 'no route (701)', 10);
  attempts.observe({ selected: 'turn-udp', pairs: [pair('turn-udp', 'succeeded')] }, 20);
  t.same(attempts.list(30), [{ rung: 'turn-udp', outcome: 'connected', ms: 20 }]);
  attempts.relayFailed('turn-udp', 'no route (701)', 40);
  t.match(attempts.list(50), [{ outcome: 'connected' }]);
  attempts.relayFailed('turn-tcp', 'not tried', 60);
  t.equal(attempts.list(60).length, 1);
  t.end();
});

t.test('what the answer does not have is not tried', (t) => {
  const attempts = new IceAttempts();
  attempts.begin(['udp', 'ice-tcp'], 0);
  attempts.notOffered('ice-tcp', 5);
  attempts.observe({ selected: 'udp', pairs: [pair('udp', 'succeeded')] }, 20);
  t.match(attempts.list(30), [{ outcome: 'connected' }, { rung: 'ice-tcp', outcome: 'skipped', ms: 5 }]);
  t.end();
});

t.test('an ICE restart begins anew, and pairs of before do not count for it', (t) => {
  const attempts = new IceAttempts();
  attempts.begin(['udp', 'turn-tcp'], 0);
  attempts.observe({ selected: null, pairs: [pair('udp', 'succeeded'), pair('turn-tcp', 'waiting')] }, 10);
  attempts.begin(['udp', 'turn-tcp'], 1000);
  attempts.observe({ selected: null, pairs: [pair('udp', 'succeeded')] }, 1010);
  t.same(
    attempts.list(1010).map(({ rung, outcome, reason }) => [rung, outcome, reason]),
    [
      ['udp', 'connected', undefined],
      ['turn-tcp', 'superseded', 'ICE was restarted'],
      ['udp', 'pending', undefined],
      ['turn-tcp', 'pending', undefined],
    ],
  );
  attempts.observe({ selected: 'udp', pairs: [pair('udp', 'succeeded'), pair('udp', 'succeeded', 'new')] }, 1020);
  t.match(attempts.latest(1020).get('udp'), { outcome: 'connected', ms: 20 });
  t.end();
});

t.test('a call on a bad network keeps the latest 64', (t) => {
  const attempts = new IceAttempts();
  for (let at = 0; at < 100; at++) attempts.begin(['udp', 'ice-tcp'], at);
  t.equal(attempts.list(100).length, 64);
  t.equal(attempts.latest(100).size, 2);
  t.end();
});
