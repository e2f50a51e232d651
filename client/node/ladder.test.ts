import fc from 'fast-check';
import t from 'tap';
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import {
  attemptMs,
  evidenceMs,
  firstRetryMs,
  headStartMs,
  holdMs,
  Ladder,
  maxRetryMs,
  staggerMs,
  strandedRetryMs,
  suspicionMs,
} from './ladder.ts';

const links = ['turn-udp', 'ice-tcp', 'turn-tcp', 'turn-tls'] as const;

/** Lets time pass; tells what was done: `180 open turn-udp`. */
function run(ladder: Ladder, from: number, until: number): string[] {
  const done: string[] = [];
  let now = from;
  for (;;) {
    for (let action = ladder.next(now); action !== null; action = ladder.next(now)) {
      done.push(`${String(now)} ${action.type} ${action.rung}${action.type === 'close' ? ` ${action.why}` : ''}`);
    }
    const due = ladder.nextTimeout(now);
    if (due === null || due > until) return done;
    if (due <= now) throw new Error('it wants attention at once, and then does nothing');
    now = due;
  }
}

function started(udpFirst = true): Ladder {
  const ladder = new Ladder(links);
  ladder.start(0, udpFirst);
  return ladder;
}

t.test('UDP answers within its head start: nothing is opened', (t) => {
  const ladder = started();
  t.same(run(ladder, 0, headStartMs - 1), []);
  ladder.validated('udp');
  ladder.nominated('udp', headStartMs - 1);
  t.same(run(ladder, headStartMs - 1, 1e6), []);
  t.equal(ladder.nextTimeout(1e6), null);
  t.end();
});

t.test('otherwise one rung after the other, best first, none waiting for another to time out', (t) => {
  const at = (index: number): string => String(headStartMs + index * staggerMs);
  const all = links.map((rung, index) => `${at(index)} open ${rung}`);
  t.same(run(started(), 0, headStartMs + 4 * staggerMs), all);
  t.same(run(started(false), 0, 0), ['0 open turn-udp'], 'no UDP to wait for');
  const ladder = started(false);
  run(ladder, 0, 0);
  ladder.failed('turn-udp', 3);
  t.same(run(ladder, 3, 3), ['3 open ice-tcp'], 'a failure lets the next one go at once');
  ladder.validated('ice-tcp');
  t.same(run(ladder, 4, 200), [], 'what is worse than what works is not opened');
  t.end();
});

t.test('the tunnel alone is not enough', (t) => {
  const ladder = started();
  ladder.validated('websocket');
  ladder.nominated('websocket', 60);
  t.equal(run(ladder, 60, 1000).length, 4);
  t.end();
});

t.test('a better rung that holds makes worse ones superfluous', (t) => {
  const ladder = started();
  ladder.validated('websocket');
  ladder.nominated('websocket', 60);
  run(ladder, 60, 600);
  ladder.validated('turn-tcp');
  ladder.validated('ice-tcp');
  t.same(run(ladder, 600, 5000), [], 'they are better than what carries media');
  ladder.nominated('ice-tcp', 5000);
  t.same(run(ladder, 5000, 5000 + holdMs - 1), []);
  t.same(run(ladder, 5000 + holdMs, 5000 + holdMs), [
    `${String(5000 + holdMs)} close turn-tcp superseded`,
    `${String(5000 + holdMs)} close turn-tls superseded`,
  ]);
  ladder.validated('udp');
  ladder.nominated('udp', 8000);
  t.same(run(ladder, 8000, 1e6), [
    `${String(8000 + holdMs)} close turn-udp superseded`,
    `${String(8000 + holdMs)} close ice-tcp superseded`,
  ]);
  t.end();
});

t.test('a rung that does not come about is closed and tried again, ever more seldom', (t) => {
  const ladder = new Ladder(['turn-tls']);
  ladder.start(0, false);
  ladder.validated('websocket');
  ladder.nominated('websocket', 0);
  const opened = run(ladder, 0, 300_000)
    .filter((text) => text.includes('open'))
    .map((text) => Number(text.split(' ')[0]));
  const waits = opened.slice(1).map((at, index) => at - (opened[index] as number) - attemptMs);
  t.same(waits, [3000, 6000, 12_000, 24_000, 48_000, 60_000, 60_000].slice(0, waits.length));
  t.equal(firstRetryMs, waits[0]);
  t.equal(maxRetryMs, waits.at(-1));
  ladder.retry();
  t.same(run(ladder, 300_000, 300_000).length <= 1, true);
  t.end();
});

t.test('while nothing works at all, it is tried more often', (t) => {
  const ladder = new Ladder(['turn-tls']);
  ladder.start(0, false);
  const opened = run(ladder, 0, 100_000)
    .filter((text) => text.includes('open'))
    .map((text) => Number(text.split(' ')[0]));
  const last = opened.slice(-2) as [number, number];
  t.equal(last[1] - last[0], attemptMs + strandedRetryMs);
  t.end();
});

t.test('a nominated rung that is silent: others are prepared, and closed again if it was nothing', (t) => {
  const ladder = started();
  ladder.validated('udp');
  ladder.nominated('udp', 50);
  ladder.suspect(10_000);
  ladder.suspect(10_100);
  const first = 10_000 + suspicionMs;
  t.same(run(ladder, 10_000, first), [`${String(first)} open turn-udp`]);
  t.same(run(ladder, first, first + 1000).length, 3);
  ladder.validated('ice-tcp');
  ladder.trust();
  t.same(
    run(ladder, first + 1000, first + 1000).map((text) => text.replace(/^\d+ /, '')),
    links.map((rung) => `close ${rung} superseded`),
  );
  t.end();
});

t.test('evidence against the nominated rung: others are opened at once, whatever signs of life it gives', (t) => {
  const ladder = started();
  ladder.validated('udp');
  ladder.nominated('udp', 50);
  run(ladder, 50, 9_999);
  ladder.degrade(10_000);
  ladder.trust();
  t.same(run(ladder, 10_000, 10_000), ['10000 open turn-udp']);
  t.equal(run(ladder, 10_001, 10_400).length, 3);
  ladder.validated('turn-tls');
  t.same(
    run(ladder, 10_400, 10_000 + evidenceMs).map((text) => text.replace(/^\d+ /, '')),
    links.map((rung) => `close ${rung} superseded`),
    'it was nothing',
  );
  ladder.degrade(30_000);
  ladder.nominated('turn-tls', 30_100);
  t.equal(ladder.nextTimeout(30_100) !== null, true);
  t.end();
});

t.test('a rung that works but is not proven makes no other superfluous', (t) => {
  const ladder = started();
  ladder.validated('websocket');
  ladder.nominated('websocket', 0);
  ladder.validated('udp');
  t.same(run(ladder, 0, 1000), []);
  ladder.unproven('udp');
  t.equal(run(ladder, 1000, 1400).length, 4);
  ladder.validated('udp');
  t.same(run(ladder, 1400, 2000), []);
  t.end();
});

t.test('a known network: the rung that it needed is opened at once, the others in their turn', (t) => {
  const ladder = new Ladder(links);
  ladder.start(0, true, 'turn-tls');
  t.same(run(ladder, 0, headStartMs), ['0 open turn-tls', `${String(headStartMs)} open turn-udp`]);
  const without = new Ladder(links);
  without.start(0, true, 'websocket');
  t.same(run(without, 0, headStartMs - 1), [], 'the tunnel is open already');
  t.end();
});

t.test('a nominated rung that fails: what is worse is opened, a better one that comes back closes it', (t) => {
  const ladder = started();
  ladder.validated('udp');
  ladder.nominated('udp', 50);
  ladder.failed('udp', 20_000);
  t.same(run(ladder, 20_000, 20_300).length, 4);
  ladder.validated('turn-udp');
  ladder.nominated('turn-udp', 20_300);
  run(ladder, 20_300, 30_000);
  ladder.validated('udp');
  ladder.nominated('udp', 31_000);
  t.same(run(ladder, 31_000, 1e6), [`${String(31_000 + holdMs)} close turn-udp superseded`]);
  t.end();
});

t.test('a rung that is asked for is opened at once, and stays; nothing else does', (t) => {
  const ladder = started();
  ladder.validated('udp');
  ladder.nominated('udp', 50);
  ladder.pin('turn-tls');
  t.same(run(ladder, 60_000, 60_000), ['60000 open turn-tls']);
  t.same(run(ladder, 60_000, 62_000), []);
  ladder.validated('turn-tls');
  ladder.nominated('turn-tls', 62_000);
  t.same(run(ladder, 62_000, 1e6), []);
  ladder.pin('turn-udp');
  t.same(run(ladder, 1e6, 1e6), ['1000000 open turn-udp']);
  ladder.failed('turn-udp', 1e6);
  t.same(run(ladder, 1e6, 1e6), [], 'it waits, whoever asks');
  ladder.pin('turn-tls');
  ladder.pin('turn-udp');
  t.same(run(ladder, 1e6, 1e6), ['1000000 open turn-udp'], 'asked again, it is tried again');
  ladder.validated('turn-udp');
  ladder.nominated('turn-udp', 1e6);
  t.same(run(ladder, 1e6, 2e6), [`${String(1e6 + holdMs)} close turn-tls superseded`]);
  t.end();
});

t.test('whatever happens: actions fit the state, and it comes to rest', (t) => {
  const rung = fc.constantFrom<Rung>(...rungs.slice(0, 6));
  const step = fc.record({
    what: fc.constantFrom(
      'validated',
      'failed',
      'nominated',
      'suspect',
      'degrade',
      'unproven',
      'trust',
      'pin',
      'unpin',
      'retry',
      'wait',
    ),
    rung,
    ms: fc.integer({ min: 0, max: 20_000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const ladder = started();
      const open = new Set<string>();
      let now = 0;
      for (const { what, rung, ms } of steps) {
        if (what === 'validated') ladder.validated(rung);
        if (what === 'failed') {
          ladder.failed(rung, now);
          open.delete(rung);
        }
        if (what === 'nominated') ladder.nominated(rung, now);
        if (what === 'suspect') ladder.suspect(now);
        if (what === 'degrade') ladder.degrade(now);
        if (what === 'unproven') ladder.unproven(rung);
        if (what === 'trust') ladder.trust();
        if (what === 'pin') ladder.pin(rung);
        if (what === 'unpin') ladder.pin(null);
        if (what === 'retry') ladder.retry();
        for (const text of run(ladder, now, now + ms)) {
          const [, action, name = ''] = text.split(' ');
          if (open.has(name) === (action === 'open')) return false;
          if (action === 'open') open.add(name);
          else open.delete(name);
        }
        now += ms;
      }
      return true;
    }),
    { numRuns: 300 },
  );
  t.end();
});
