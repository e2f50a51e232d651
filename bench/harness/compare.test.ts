import t from 'tap';
import { compareResults, formatComparison } from './compare.ts';
import { figure, resultFile, type ResultFile } from './result-file.ts';
import { summarize } from './statistics.ts';

function result(values: Readonly<Record<string, readonly number[]>>): ResultFile {
  return resultFile(
    'demo',
    Object.entries(values).map(([id, runs]) => figure(id, id.endsWith('pps') ? 'packets/s' : 'µs', summarize(runs))),
  );
}

t.test('worse is more time, or fewer packets, beyond what the runs of each differ', (t) => {
  const before = result({
    'a.cpu_us': [1, 1.1, 1.2],
    'a.pps': [100, 110],
    'b.cpu_us': [5, 6, 7],
    'c.cpu_us': [4, 4, 4],
  });
  const after = result({
    'a.cpu_us': [2, 2.1, 2.2],
    'a.pps': [50, 60],
    'b.cpu_us': [6.5, 7, 8],
    'c.cpu_us': [2, 2, 2],
  });
  t.same(
    compareResults(before, after).map(({ id, verdict }) => [id, verdict]),
    [
      ['a.cpu_us', 'worse'],
      ['a.pps', 'worse'],
      ['b.cpu_us', 'within the spread'],
      ['c.cpu_us', 'better'],
    ],
  );
  t.match(formatComparison(before, after), /4 figures in both[^]*worse: a\.cpu_us {2}1\.1 → 2\.1 µs \(× 1\.91\)/);
  t.end();
});

t.test('a small step is no change, however steady the runs, and figures of one file alone are left out', (t) => {
  const before = result({ 'a.cpu_us': [100, 100], 'old.cpu_us': [1] });
  const after = result({ 'a.cpu_us': [104, 104], 'new.cpu_us': [1] });
  t.match(compareResults(before, after), [{ id: 'a.cpu_us', verdict: 'within the spread' }]);
  t.end();
});

t.test('another machine is told', (t) => {
  const before = result({ 'a.cpu_us': [1] });
  const other = { ...before, machine: { ...before.machine, cpu: 'another' } };
  t.match(formatComparison(other, before), /another machine/);
  t.notMatch(formatComparison(before, before), /another machine/);
  t.end();
});
