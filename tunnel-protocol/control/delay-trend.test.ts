import fc from 'fast-check';
import t from 'tap';
import { DelayTrends, trendSamples } from './delay-trend.ts';

t.test('what waits on one way shows on that way alone', (t) => {
  const trends = new DelayTrends();
  const sample = (at: number, there: number, back: number): object =>
    trends.add(at, at + 7_000_000 + there, at + there + back);
  t.same(sample(0, 20, 30), { outwardMs: 0, backMs: 0 });
  t.same(sample(5000, 120, 30), { outwardMs: 100, backMs: 0 });
  t.same(sample(10_000, 10, 35), { outwardMs: 0, backMs: 5 });
  t.same(sample(15_000, 20, 30), { outwardMs: 10, backMs: 0 }, 'against the shortest');
  t.end();
});

t.test('a way that has become longer for good is what it is compared with in the end', (t) => {
  const trends = new DelayTrends();
  trends.add(0, 10, 20);
  for (let i = 1; i < trendSamples; i++) t.same(trends.add(i, i + 60, i + 70), { outwardMs: 50, backMs: 0 });
  t.same(trends.add(99, 159, 169), { outwardMs: 0, backMs: 0 });
  t.end();
});

t.test('clocks of any origin, which may wrap', (t) => {
  const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
  const ms = fc.integer({ min: 0, max: 10_000 });
  fc.assert(
    fc.property(u32, u32, fc.array(fc.tuple(ms, ms), { minLength: 1, maxLength: 40 }), (own, peer, ways) => {
      const trends = new DelayTrends();
      for (const [index, [there, back]] of ways.entries()) {
        const at = index * 5000;
        const got = trends.add((own + at) >>> 0, (peer + at + there) >>> 0, (own + at + there + back) >>> 0);
        const late = ways.slice(Math.max(0, index + 1 - trendSamples), index + 1);
        const wanted = {
          outwardMs: there - Math.min(...late.map(([each]) => each)),
          backMs: back - Math.min(...late.map(([, each]) => each)),
        };
        if (got.outwardMs !== wanted.outwardMs || got.backMs !== wanted.backMs) return false;
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass('the same as with clocks that agree');
  t.end();
});
