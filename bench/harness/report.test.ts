import t from 'tap';
import { against, distributed, figure, resultFile } from './result-file.ts';
import { htmlReport } from './report-html.ts';
import { formatTable } from './report-table.ts';
import { quantiles, summarize } from './statistics.ts';

const result = resultFile('demo', [
  figure('demo.websocket.100.cpu_us', 'µs', summarize([1.234, 1.3, 1.1])),
  against(figure('demo.websocket.1200.cpu_us', 'µs', summarize([2, 2, 2])), 'ws <relay>', summarize([4])),
]);

t.test('a figure keeps median, spread and the ratio to what it is compared with', (t) => {
  t.match(result.figures, [
    { id: 'demo.websocket.100.cpu_us', value: 1.23, unit: 'µs', spread: [1.1, 1.3] },
    { value: 2, against: { name: 'ws <relay>', value: 4 }, ratio: 0.5 },
  ]);
  t.match(result, { bench: 'demo', machine: { node: process.version } });
  t.end();
});

t.test('a distribution is drawn as a curve', (t) => {
  const curve = distributed(figure('demo.udp.latency_up_p50_ms', 'ms', summarize([2])), [
    [0.5, 2, 30],
    [0.7, 3, 50],
    [0.1, 1, 20],
  ]);
  t.strictSame(curve.distribution, [0.5, 2, 30]);
  const page = htmlReport(resultFile('demo', [curve]));
  t.match(page, /<polyline points="[\d., ]+"/);
  t.notMatch(page, /NaN|Infinity/);
  t.notMatch(htmlReport(result), /polyline/);
  t.strictSame(quantiles([0, 10]).slice(0, 3), [0, 0.5, 1]);
  t.end();
});

t.test('the table and the page show every figure, and names cannot break the page', (t) => {
  const table = formatTable(result);
  const page = htmlReport(result);
  for (const { id } of result.figures) {
    t.ok(table.includes(id));
    t.ok(page.includes(id));
  }
  t.notOk(page.includes('<relay>'));
  t.end();
});
