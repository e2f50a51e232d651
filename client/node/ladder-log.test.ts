import t from 'tap';
import { LadderLog, maxLadderEvents } from './ladder-log.ts';
import type { LadderEvent } from './ladder-log.ts';

t.test('the story of a call', (t) => {
  const told: LadderEvent[] = [];
  const log = new LadderLog((event) => told.push(event), 0);
  log.start(1000);
  log.attempt({ rung: 'udp', outcome: 'failed', ms: 50, reason: 'unanswered' }, 1050);
  log.moved({ from: null, to: 'websocket', reason: 'joined' }, 1100);
  log.proof('udp', { proven: true, sent: 150, lost: 1, ms: 3000, roundTripMs: 20 }, 5000);
  log.moved({ from: 'websocket', to: 'udp', reason: 'better-rung-proven' }, 5010);
  const evidence = { cause: 'loss', direction: 'up', ms: 3000, share: 0.2 } as const;
  log.degraded(evidence);
  log.moved({ from: 'udp', to: 'websocket', reason: 'rung-failed' }, 9010);
  log.moved({ from: 'websocket', to: 'long-poll', reason: 'rung-failed' }, 9110);
  log.end(10_000);
  log.end(11_000);
  t.same(told, [
    { type: 'rung_attempt', atMs: 50, rung: 'udp', step: 'open', outcome: 'failed', ms: 50, reason: 'unanswered' },
    { type: 'rung_selected', atMs: 100, rung: 'websocket', reason: 'joined' },
    {
      type: 'rung_attempt',
      atMs: 4000,
      rung: 'udp',
      step: 'proof',
      outcome: 'proven',
      ms: 3000,
      sent: 150,
      lost: 1,
      roundTripMs: 20,
    },
    { type: 'dwell', atMs: 4010, rung: 'websocket', ms: 3910 },
    { type: 'upgrade', atMs: 4010, from: 'websocket', to: 'udp', reason: 'better-rung-proven' },
    { type: 'rung_selected', atMs: 4010, rung: 'udp', reason: 'better-rung-proven' },
    { type: 'dwell', atMs: 8010, rung: 'udp', ms: 4000 },
    { type: 'downgrade', atMs: 8010, from: 'udp', to: 'websocket', reason: 'rung-failed', evidence },
    { type: 'rung_selected', atMs: 8010, rung: 'websocket', reason: 'rung-failed' },
    { type: 'dwell', atMs: 8110, rung: 'websocket', ms: 100 },
    { type: 'downgrade', atMs: 8110, from: 'websocket', to: 'long-poll', reason: 'rung-failed', evidence: null },
    { type: 'rung_selected', atMs: 8110, rung: 'long-poll', reason: 'rung-failed' },
    { type: 'dwell', atMs: 9000, rung: 'long-poll', ms: 890 },
  ]);
  t.same(log.events, told);
  t.end();
});

t.test('a call of days keeps the latest', (t) => {
  const log = new LadderLog(() => undefined, 0);
  for (let n = 1; n <= 1000; n++) log.attempt({ rung: 'udp', outcome: 'failed', ms: n }, n);
  t.equal(log.events.length, maxLadderEvents);
  t.match(log.events.at(-1), { ms: 1000 });
  t.match(log.events[0], { ms: 1001 - maxLadderEvents });
  t.end();
});
