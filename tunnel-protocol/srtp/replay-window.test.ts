import fc from 'fast-check';
import t from 'tap';
import { ReplayWindow, windowVerdict } from './replay-window.ts';

void t.test('fresh, seen, too old', (t) => {
  const window = new ReplayWindow(128);
  t.equal(window.check(0), windowVerdict.fresh);
  window.mark(1000);
  t.equal(window.check(1000), windowVerdict.seen);
  t.equal(window.check(873), windowVerdict.fresh, 'the oldest inside');
  t.equal(window.check(872), windowVerdict.tooOld);
  t.equal(window.check(2 ** 47), windowVerdict.fresh);
  t.throws(() => new ReplayWindow(100), RangeError);
  t.end();
});

void t.test('agrees with a set of all that was marked', (t) => {
  const size = 64;
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 48 }),
      fc.array(fc.integer({ min: -90, max: 90 }), { maxLength: 300, size: 'max' }),
      (start, steps) => {
        const window = new ReplayWindow(size);
        const marked = new Set<number>();
        let highest = -1;
        let at = start;
        for (const step of steps) {
          at = Math.max(0, at + step);
          const expected =
            highest >= 0 && at <= highest - size
              ? windowVerdict.tooOld
              : marked.has(at)
                ? windowVerdict.seen
                : windowVerdict.fresh;
          if (window.check(at) !== expected) return false;
          if (expected !== windowVerdict.fresh) continue;
          window.mark(at);
          marked.add(at);
          highest = Math.max(highest, at);
        }
        return window.highest === highest;
      },
    ),
  );
  t.end();
});
