import t from 'tap';
import { Openings, type OpeningsClock } from './openings.ts';

const limits = { openingTimeoutMs: 100, maxOpenings: 10, maxOpeningsPerClient: 10 };

/** One timer, which fires at its time, or late where the process stood still. */
class TestClock implements OpeningsClock {
  #now = 0;
  #timer: { readonly at: number; readonly fire: () => void } | null = null;

  now(): number {
    return this.#now;
  }

  setTimer(fire: () => void, ms: number): unknown {
    if (this.#timer !== null) throw new Error('one timer is enough');
    this.#timer = { at: this.#now + ms, fire };
    return this.#timer;
  }

  clearTimer(timer: unknown): void {
    if (this.#timer === timer) this.#timer = null;
  }

  advance(ms: number): void {
    for (let left = ms; left > 0; left--) this.standStill(1);
  }

  standStill(ms: number): void {
    this.#now += ms;
    const timer = this.#timer;
    if (timer === null || timer.at > this.#now) return;
    this.#timer = null;
    timer.fire();
  }
}

t.test('what this process held up itself is cut later than what clients held up', (t) => {
  const clock = new TestClock();
  const openings = new Openings(limits, clock);
  const cuts: string[] = [];
  openings.open('192.0.2.1', (reason) => cuts.push(reason));
  // The timer is long due, and so is whatever came meanwhile.
  clock.standStill(600);
  t.same(cuts, []);
  // As late as it was, once more.
  clock.advance(499);
  t.same(cuts, []);
  t.equal(openings.size, 1);
  clock.advance(1);
  t.same(cuts, ['timed-out']);
  t.equal(openings.size, 0);
  t.end();
});

t.test('on time otherwise, each at its own', (t) => {
  const clock = new TestClock();
  const openings = new Openings(limits, clock);
  const cuts: string[] = [];
  const open = (name: string): void => {
    openings.open('192.0.2.1', (reason) => cuts.push(`${String(clock.now())} ${name} ${reason}`));
  };
  open('one');
  clock.advance(30);
  open('two');
  const released = openings.open('192.0.2.1', () => cuts.push('never'));
  clock.advance(69);
  t.same(cuts, []);
  t.equal(released?.release(), true);
  clock.advance(1);
  t.same(cuts, ['100 one timed-out']);
  // A little late is on time.
  clock.standStill(200);
  t.same(cuts, ['100 one timed-out', '300 two timed-out']);
  t.equal(openings.size, 0);
  open('three');
  openings.close();
  t.same(cuts.at(-1), '300 three closing');
  t.end();
});
