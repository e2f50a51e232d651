import fc from 'fast-check';
import t from 'tap';
import { ReplayWindow } from './replay-window.ts';

t.test('each number once, in any order, within the last 128', (t) => {
  const near = fc.array(fc.nat(300), { maxLength: 400 });
  const far = fc.array(fc.maxSafeNat().map((number) => number % 2 ** 48));
  fc.assert(
    fc.property(fc.oneof(near, far), (sequences) => {
      const window = new ReplayWindow();
      const seen = new Set<number>();
      let highest = -1;
      for (const sequence of sequences) {
        const expected = seen.has(sequence) || sequence <= highest - 128;
        if (window.isReplay(sequence) !== expected) return false;
        if (expected) continue;
        window.mark(sequence);
        seen.add(sequence);
        highest = Math.max(highest, sequence);
      }
      return true;
    }),
  );
  t.end();
});

t.test('asking does not mark', (t) => {
  const window = new ReplayWindow();
  t.equal(window.isReplay(5), false);
  t.equal(window.isReplay(5), false);
  window.mark(5);
  t.equal(window.isReplay(5), true);
  t.equal(window.isReplay(0), false);
  t.end();
});
