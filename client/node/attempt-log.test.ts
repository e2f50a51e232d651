import t from 'tap';
import type { RungAttempt } from '../call.ts';
import { AttemptLog } from './attempt-log.ts';

t.test('one attempt of a rung at a time; its end is told once', (t) => {
  const told: RungAttempt[] = [];
  const log = new AttemptLog((attempt) => told.push(attempt));
  log.skip('turn-udp', 'the edge offers none');
  log.begin('udp', 100);
  log.begin('udp', 150);
  log.begin('ice-tcp', 200);
  log.end('ice-tcp', 'failed', 230, 'ECONNREFUSED');
  log.end('ice-tcp', 'connected', 240);
  t.strictSame(log.list(1100), [
    { rung: 'turn-udp', outcome: 'skipped', ms: 0, reason: 'the edge offers none' },
    { rung: 'ice-tcp', outcome: 'failed', ms: 30, reason: 'ECONNREFUSED' },
    { rung: 'udp', outcome: 'pending', ms: 1000 },
  ]);
  t.strictSame(told, log.list(1100).slice(0, 2));
  t.end();
});

t.test('it does not grow without end', (t) => {
  const log = new AttemptLog(() => undefined);
  for (let now = 0; now < 1000; now++) {
    log.begin('turn-tls', now);
    log.end('turn-tls', 'failed', now);
  }
  t.equal(log.list(1000).length, 64);
  t.end();
});
