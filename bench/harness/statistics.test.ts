import t from 'tap';
import { percentile, summarize } from './statistics.ts';

t.test('percentiles interpolate between neighbours', (t) => {
  t.equal(percentile([1], 0.99), 1);
  t.equal(percentile([1, 2, 3, 4], 0.5), 2.5);
  t.equal(percentile([10, 20, 30], 0.5), 20);
  t.equal(percentile([10, 20], 0.99), 19.9);
  t.throws(() => percentile([], 0.5), RangeError);
  t.end();
});

t.test('a summary is the median and the extremes, in any order of runs', (t) => {
  t.same(summarize([3, 1, 2]), { median: 2, spread: [1, 3] });
  t.throws(() => summarize([]), RangeError);
  t.end();
});
