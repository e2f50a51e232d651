import fc from 'fast-check';
import t from 'tap';
import { SeenExchanges } from './seen-exchanges.ts';

t.test('agrees with a set on the latest 64', (t) => {
  const jumps = fc.array(fc.oneof(fc.integer({ min: -70, max: 5 }), fc.integer({ min: 0, max: 100 })), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(jumps, (jumps) => {
      const seen = new SeenExchanges();
      const all = new Set<number>();
      let highest = 0;
      for (const jump of jumps) {
        const number = Math.max(1, highest + jump);
        const expected = all.has(number) || number <= highest - 64;
        t.equal(seen.add(number), expected);
        all.add(number);
        highest = Math.max(highest, number);
      }
    }),
    { numRuns: 100 },
  );
  t.end();
});
