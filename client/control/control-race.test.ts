/** Every outcome of the race on a virtual clock; long because each order of events is a case of its own. */
import fc from 'fast-check';
import t from 'tap';
import type { ControlRung } from '../../tunnel-protocol/index.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { ControlRace, racePolicy } from './control-race.ts';
import type { RaceAction, RacePolicy } from './control-race.ts';

const rungs = ['websocket', 'http-stream', 'long-poll'] as const;

/** What a network does to each carrier, in ms from the beginning of a connection; what is left out never comes. */
interface Behaviour {
  readonly opens?: number;
  /** The answer to a ping, or to `open`, from when that was sent. */
  readonly answers?: number;
  readonly fails?: number;
  readonly suspect?: boolean;
}

/** A race on a virtual clock over a network that is described. `log` has what was done, with the time. */
class Run {
  readonly clock = new VirtualClock();
  readonly log: string[] = [];
  readonly race: ControlRace;
  network: Partial<Record<ControlRung, Behaviour>>;
  /** Connections that are open, by id. */
  readonly open = new Map<number, ControlRung>();
  #timer: unknown = null;

  constructor(network: Partial<Record<ControlRung, Behaviour>>, policy: Partial<RacePolicy> = {}) {
    this.network = network;
    this.race = new ControlRace({ ...racePolicy, rungs, ...policy });
    this.race.start(0);
    this.settle();
  }

  get rung(): ControlRung | undefined {
    return this.open.get(this.race.carrier ?? -1);
  }

  /** Forgets what was done, lets time pass, and returns what was done meanwhile. */
  during(ms: number): readonly string[] {
    this.log.length = 0;
    this.clock.advance(ms);
    return [...this.log];
  }

  do(act: (race: ControlRace, now: number) => void): void {
    act(this.race, this.clock.now());
    this.settle();
  }

  settle(): void {
    for (let action = this.race.nextAction(this.clock.now()); action !== null;) {
      this.#act(action);
      action = this.race.nextAction(this.clock.now());
    }
    if (this.#timer !== null) this.clock.clearTimer(this.#timer);
    const at = this.race.nextTimeout();
    this.#timer =
      at === null
        ? null
        : this.clock.setTimer(
            () => {
              this.do((race, now) => {
                race.handleTimeout(now);
              });
            },
            Math.max(0, at - this.clock.now()),
          );
  }

  #act(action: RaceAction): void {
    const at = String(this.clock.now());
    if (action.type === 'attempt') {
      this.log.push(`${at} ${action.rung} ${action.outcome}${action.reason === null ? '' : `: ${action.reason}`}`);
      return;
    }
    if (!('id' in action)) {
      this.log.push(`${at} ${action.type}`);
      return;
    }
    const { id } = action;
    if (action.type === 'connect') {
      this.open.set(id, action.rung);
      const { opens, fails, suspect = false } = this.network[action.rung] ?? {};
      this.#in(opens, id, (now) => {
        this.race.opened(id, now);
      });
      this.#in(fails, id, (now) => {
        this.open.delete(id);
        this.race.failed(id, 'refused', suspect, now);
      });
    }
    const rung = this.open.get(id) ?? 'websocket';
    if (action.type !== 'probe') this.log.push(`${at} ${action.type} ${rung}`);
    const { answers } = this.network[rung] ?? {};
    if (action.type === 'close') this.open.delete(id);
    else if (action.type === 'probe') {
      this.#in(answers, id, (now) => {
        this.race.proved(id, answers ?? 0, now);
      });
    } else if (action.type !== 'connect') {
      this.#in(answers, id, (now) => {
        this.race.welcomed(id, now);
        this.#in(answers, id, (later) => {
          this.race.roundTrip(later);
        });
      });
    }
  }

  #in(ms: number | undefined, id: number, act: (now: number) => void): void {
    if (ms === undefined) return;
    this.clock.setTimer(() => {
      if (!this.open.has(id)) return;
      act(this.clock.now());
      this.settle();
    }, ms);
  }
}

const good: Behaviour = { opens: 60, answers: 20 };
/** Requests carry frames from the first on. */
const goodHttp: Behaviour = { opens: 0, answers: 20 };

t.test('a network that passes all: the WebSocket, and nothing else is begun', (t) => {
  const run = new Run({ websocket: good, 'http-stream': goodHttp, 'long-poll': goodHttp });
  run.clock.advance(100_000);
  t.same(run.log, ['0 connect websocket', '60 bind websocket', '100 websocket connected']);
  t.equal(run.race.worked, 'websocket');
  t.equal(run.race.nextTimeout(), null);
  t.notOk(run.race.mayHaveMoved(200));
  t.end();
});

t.test('the Upgrade is refused: the next one starts at once', (t) => {
  const run = new Run({ websocket: { fails: 30 }, 'http-stream': goodHttp, 'long-poll': goodHttp });
  run.clock.advance(5000);
  t.same(run.log, [
    '0 connect websocket',
    '30 websocket failed: refused',
    '30 connect http-stream',
    '30 bind http-stream',
    '70 http-stream connected',
  ]);
  t.end();
});

t.test('a WebSocket that is never answered costs the gap alone', (t) => {
  const run = new Run({ websocket: { opens: 40 }, 'http-stream': goodHttp });
  run.clock.advance(2000);
  t.same(run.log, [
    '0 connect websocket',
    '40 bind websocket',
    '250 connect http-stream',
    '320 websocket superseded: another carrier was faster',
    '320 close websocket',
    '320 bind http-stream',
    '360 http-stream connected',
  ]);
  t.ok(run.race.mayHaveMoved(2000), 'the `open` of the first may come late');
  t.notOk(run.race.mayHaveMoved(20_000));
  t.end();
});

t.test('a stream that is held back: long-poll after both gaps', (t) => {
  const run = new Run({ websocket: {}, 'http-stream': { opens: 0 }, 'long-poll': goodHttp });
  run.clock.advance(2000);
  t.same(run.log, [
    '0 connect websocket',
    '250 connect http-stream',
    '250 bind http-stream',
    '750 connect long-poll',
    '820 http-stream superseded: another carrier was faster',
    '820 close http-stream',
    '820 bind long-poll',
    '860 long-poll connected',
  ]);
  t.same([...run.open.values()], ['websocket', 'long-poll'], 'what has not come up may still do');
  run.network = { ...run.network, 'http-stream': { opens: 0, fails: 1000, suspect: true } };
  t.match(run.during(10_000), [
    '2860 connect http-stream',
    '3860 http-stream failed: refused',
    '10000 close websocket',
    '10000 websocket failed: no answer in time',
  ]);
  t.equal(run.rung, 'long-poll');
  t.end();
});

t.test('far away: the WebSocket is not given up while its answer may be on the way', (t) => {
  const far = { websocket: { opens: 240, answers: 80 }, 'http-stream': { opens: 0, answers: 80 } };
  const run = new Run(far);
  run.clock.advance(2000);
  t.same(run.log, [
    '0 connect websocket',
    '240 bind websocket',
    '250 connect http-stream',
    '400 websocket connected',
    '400 http-stream superseded',
    '400 close http-stream',
  ]);
  t.end();
});

t.test('further away: the stream is first, and the WebSocket takes over when it is up', (t) => {
  const run = new Run({ websocket: { opens: 600, answers: 200 }, 'http-stream': { opens: 0, answers: 200 } });
  run.clock.advance(3000);
  t.same(run.log, [
    '0 connect websocket',
    '250 connect http-stream',
    '250 bind http-stream',
    '650 http-stream connected',
    '800 move websocket',
    '1000 close http-stream',
    '1000 websocket connected',
  ]);
  t.equal(run.rung, 'websocket');
  t.end();
});

t.test('what worked last is first, and better ones are tried soon where they were not yet', (t) => {
  const all = { websocket: good, 'http-stream': goodHttp, 'long-poll': goodHttp };
  const run = new Run(all, { preferred: 'long-poll' });
  run.clock.advance(1000);
  t.same(run.log, ['0 connect long-poll', '0 bind long-poll', '40 long-poll connected']);
  t.same(run.during(2000), [
    '2040 connect websocket',
    '2120 move websocket',
    '2140 close long-poll',
    '2140 websocket connected',
  ]);
  t.end();
});

t.test('what worked last does not any more: the others follow, staggered', (t) => {
  const run = new Run({ websocket: good, 'http-stream': {} }, { preferred: 'http-stream' });
  run.clock.advance(1000);
  t.match(run.log, ['0 connect http-stream', '250 connect websocket', '310 bind websocket', '350 websocket connected']);
  t.end();
});

t.test('all fail: it says so, and starts anew when told', (t) => {
  const run = new Run({ websocket: { fails: 10 }, 'http-stream': { fails: 10 }, 'long-poll': { fails: 10 } });
  run.clock.advance(1000);
  t.equal(run.log.at(-1), '30 exhausted');
  t.equal(run.log.filter((line) => line.includes('exhausted')).length, 1);
  run.network = { websocket: good };
  run.do((race, now) => {
    race.start(now);
  });
  t.same(run.during(1000), ['1060 bind websocket', '1100 websocket connected']);
  t.end();
});

t.test('nothing answers: every attempt ends', (t) => {
  const run = new Run({});
  run.clock.advance(20_000);
  t.same(run.log.slice(-7), [
    '10000 close websocket',
    '10000 websocket failed: no answer in time',
    '10250 close http-stream',
    '10250 http-stream failed: no answer in time',
    '10750 close long-poll',
    '10750 long-poll failed: no answer in time',
    '10750 exhausted',
  ]);
  t.end();
});

t.test('climbing: every minute, at once when the network is another one, never without a connection', (t) => {
  const blocked = { websocket: { fails: 5 }, 'http-stream': goodHttp };
  const run = new Run(blocked);
  run.clock.advance(1000);
  t.equal(run.rung, 'http-stream');
  t.same(run.during(60_000), ['60045 connect websocket', '60050 websocket failed: refused']);
  t.equal(run.rung, 'http-stream');
  run.network = { ...blocked, websocket: good };
  run.do((race, now) => {
    race.retry(now);
  });
  t.same(run.during(500), ['61080 move websocket', '61100 close http-stream', '61100 websocket connected']);
  t.same(run.during(200_000), [], 'nothing is better');
  t.end();
});

t.test('a move that is not answered comes to nothing', (t) => {
  const run = new Run({ websocket: { fails: 5 }, 'http-stream': goodHttp });
  run.clock.advance(1000);
  // It answers the ping, and then nothing.
  run.network = { websocket: { opens: 60 } };
  run.do((race, now) => {
    race.retry(now);
  });
  run.clock.advance(100);
  const [id] = [...run.open].find(([, rung]) => rung === 'websocket') ?? [-1];
  run.do((race, now) => {
    race.proved(id, 20, now);
  });
  t.ok(run.race.mayHaveMoved(run.clock.now()));
  t.match(run.during(5000), ['4100 close websocket', '4100 websocket failed: no answer in time', '4100 stay']);
  t.equal(run.rung, 'http-stream');
  t.end();
});

t.test('the server leaves the old connection before its welcome is here: the new one is waited for', (t) => {
  const run = new Run({ websocket: { fails: 5 }, 'http-stream': goodHttp });
  run.clock.advance(1000);
  run.network = { websocket: good };
  run.do((race, now) => {
    race.retry(now);
  });
  run.clock.advance(90);
  const old = run.race.carrier ?? -1;
  run.open.delete(old);
  run.log.length = 0;
  run.do((race, now) => {
    race.failed(old, 'replaced', false, now);
  });
  run.clock.advance(1000);
  t.same(run.log, ['1100 websocket connected'], 'neither lost nor exhausted');
  t.equal(run.rung, 'websocket');

  const other = new Run({ websocket: { fails: 5 }, 'http-stream': goodHttp });
  other.clock.advance(1000);
  other.network = { websocket: { opens: 60 } };
  other.do((race, now) => {
    race.retry(now);
  });
  other.clock.advance(70);
  const [mover] = [...other.open].find(([, rung]) => rung === 'websocket') ?? [-1];
  other.do((race, now) => {
    race.proved(mover, 20, now);
    race.failed(race.carrier ?? -1, 'replaced', false, now);
  });
  t.same(other.during(5000).slice(-4), [
    '4070 websocket failed: no answer in time',
    '4070 stay',
    '4070 lost',
    '4070 exhausted',
  ]);
  t.end();
});

t.test('a loss: what worked is tried first, unless it is suspect', (t) => {
  const blocked = { websocket: { fails: 5 }, 'http-stream': goodHttp, 'long-poll': goodHttp };
  for (const suspect of [false, true]) {
    const run = new Run(blocked);
    run.clock.advance(1000);
    const lost = run.race.carrier ?? -1;
    run.open.delete(lost);
    run.log.length = 0;
    run.do((race, now) => {
      race.failed(lost, 'cut', suspect, now);
    });
    t.same(run.log, ['1000 lost', '1000 exhausted']);
    run.log.length = 0;
    run.do((race, now) => {
      race.start(now);
    });
    t.equal(run.log[0], suspect ? '1000 connect websocket' : '1000 connect http-stream');
  }
  t.end();
});

t.test('a loss while better ones are tried: all are', (t) => {
  const run = new Run({ websocket: { fails: 5 }, 'http-stream': goodHttp });
  run.clock.advance(1000);
  run.network = { 'http-stream': goodHttp };
  run.do((race, now) => {
    race.retry(now);
  });
  run.clock.advance(1000);
  const lost = run.race.carrier ?? -1;
  run.open.delete(lost);
  run.log.length = 0;
  run.do((race, now) => {
    race.failed(lost, 'cut', false, now);
  });
  run.clock.advance(500);
  t.match(run.log, ['2000 lost', '2000 connect http-stream', '2000 bind http-stream', '2040 http-stream connected']);
  t.end();
});

t.test('a connection that is to be left: another one of the same carrier takes over, or else any', (t) => {
  const run = new Run({ websocket: good, 'http-stream': goodHttp });
  run.clock.advance(1000);
  run.do((race, now) => {
    race.leave(now);
  });
  t.same(run.during(2000), ['1080 move websocket', '1100 close websocket', '1100 websocket connected']);
  run.network = { websocket: { fails: 5 }, 'http-stream': goodHttp, 'long-poll': { fails: 5 } };
  run.do((race, now) => {
    race.leave(now);
  });
  t.match(run.during(1000), [
    '3005 websocket failed: refused',
    '3005 connect http-stream',
    '3025 move http-stream',
    '3045 close websocket',
    '3045 http-stream connected',
  ]);
  run.network = {};
  run.do((race, now) => {
    race.leave(now);
  });
  run.clock.advance(30_000);
  t.equal(run.rung, 'http-stream', 'and where there is no other, it stays');
  t.end();
});

t.test('welcomed and then silent: another one takes over', (t) => {
  const run = new Run({ websocket: { opens: 10 }, 'http-stream': goodHttp });
  run.clock.advance(20);
  run.do((race, now) => {
    race.welcomed(race.carrier ?? -1, now);
  });
  run.clock.advance(1000);
  t.match(run.log, [
    '0 connect websocket',
    '10 bind websocket',
    '250 connect http-stream',
    '320 move http-stream',
    '340 websocket superseded',
    '340 close websocket',
    '340 http-stream connected',
  ]);
  t.end();
});

t.test('a late answer during a move: the move goes on, for the server may have followed', (t) => {
  for (const completes of [true, false]) {
    const run = new Run({ websocket: { opens: 10 }, 'http-stream': goodHttp });
    run.clock.advance(20);
    run.do((race, now) => {
      race.welcomed(race.carrier ?? -1, now);
    });
    run.network = completes ? { 'http-stream': goodHttp } : {};
    run.clock.advance(completes ? 305 : 250);
    if (!completes) {
      // It answers the ping, and then nothing.
      const [id] = [...run.open].find(([, rung]) => rung === 'http-stream') ?? [-1];
      run.do((race, now) => {
        race.proved(id, 20, now);
      });
      run.clock.advance(60);
    }
    t.equal(run.log.at(-1)?.endsWith('move http-stream'), true);
    run.do((race, now) => {
      race.roundTrip(now);
    });
    t.equal(run.open.size, 2, 'both are there');
    run.clock.advance(5000);
    t.equal(run.rung, completes ? 'http-stream' : 'websocket');
    t.equal(run.race.worked, completes ? 'http-stream' : 'websocket');
    t.equal(run.race.mover, null);
  }
  t.end();
});

t.test('whatever happens: where connections work in the end, one of them carries the session', (t) => {
  const step = fc.record({
    what: fc.constantFrom('open', 'prove', 'welcome', 'round-trip', 'fail', 'time', 'retry', 'leave'),
    which: fc.nat(3),
    ms: fc.constantFrom(0, 1, 60, 260, 700, 3100, 11_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(undefined, ...rungs), (steps, preferred) => {
      const race = new ControlRace({ ...racePolicy, rungs, preferred });
      const open = new Set<number>();
      let now = 0;
      let idle = false;
      const drain = (): void => {
        for (let action = race.nextAction(now); action !== null; action = race.nextAction(now)) {
          if (action.type === 'connect') open.add(action.id);
          else if (action.type === 'close') open.delete(action.id);
          else if (action.type === 'exhausted') idle = true;
          else if ('id' in action && action.type !== 'attempt' && !open.has(action.id)) {
            throw new Error(`${action.type} of a connection that is gone`);
          }
        }
        if (open.size === 0 && !idle) throw new Error('nothing is tried, and nobody is told');
        if (!idle) return;
        idle = false;
        race.start(now);
        drain();
      };
      const fire = (): void => {
        for (let at = race.nextTimeout(); at !== null && at <= now; at = race.nextTimeout()) {
          race.handleTimeout(now);
          drain();
          if (race.nextTimeout() === at) throw new Error('a timeout that changes nothing');
        }
      };
      race.start(now);
      drain();
      for (const { what, which, ms } of steps) {
        const id = [...open][which] ?? -1;
        if (what === 'open') race.opened(id, now);
        else if (what === 'prove') race.proved(id, ms, now);
        else if (what === 'welcome') race.welcomed(id, now);
        else if (what === 'round-trip') race.roundTrip(now);
        else if (what === 'retry') race.retry(now);
        else if (what === 'leave') race.leave(now);
        else if (what === 'time') now += ms;
        else if (open.delete(id)) race.failed(id, 'cut', ms === 60, now);
        drain();
        fire();
      }
      for (let i = 0; i < 40; i++) {
        for (const id of [...open]) {
          race.opened(id, now);
          drain();
          if (id === race.carrier || id === race.mover) race.welcomed(id, now);
          else race.proved(id, 10, now);
          drain();
        }
        race.roundTrip(now);
        drain();
        now += 500;
        fire();
      }
      return race.carrier !== null && open.has(race.carrier) && race.mover === null;
    }),
    { numRuns: 500 },
  );
  t.end();
});
