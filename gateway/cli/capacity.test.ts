import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { capacity } from '../../client/index.ts';
import { capacityCommand, planText } from './capacity.ts';

const none = ['--results', '/nonexistent'];

t.test('the plan has every input and every line with its formula', (t) => {
  const text = planText(capacity, none);
  for (const { title } of capacity.inputs) t.ok(text.includes(title), title);
  for (const { name, formula } of capacity.formulas) t.ok(text.includes(`${name} = ${formula}`), name);
  t.match(text, /calls that begin +2,778 +call\/s/);
  t.end();
});

t.test('options change inputs, and JSON has the same plan', (t) => {
  const { inputs, lines } = JSON.parse(planText(capacity, [...none, '--json', '--calls-per-day', '2e8'])) as {
    inputs: { name: string; value: number; source: string }[];
    lines: { name: string; value: number }[];
  };
  t.match(
    inputs.find(({ name }) => name === 'callsPerDay'),
    { value: 2e8, source: 'given' },
  );
  t.match(
    inputs.find(({ name }) => name === 'users'),
    { source: 'default' },
  );
  t.equal(Math.round(lines.find(({ name }) => name === 'designTarget')?.value ?? 0), 120_000);
  t.end();
});

t.test('figures of benches are used, and named; other files are not', (t) => {
  const folder = t.testdir({
    'sfu.json': JSON.stringify({ figures: [{ id: 'sfu.fanout10.1200.pps', value: 50_000 }, null, { id: 3 }] }),
    'broken.json': '{',
    'other.json': '{"figures": 3}',
  });
  t.match(
    planText(capacity, ['--results', folder]),
    /50,000 +packet\/s\/core +measured here: sfu\.fanout10\.1200\.pps/,
  );
  t.end();
});

t.test('all faults are told together', (t) => {
  const args = [...none, '--users', 'many', '--high-rate', '1 MB', '--share-udp', '5'];
  t.throws(() => planText(capacity, args), {
    name: 'UsageError',
    message: /have 3 faults:\n.*--users: "many"[^]*--high-rate: "MB" does not fit[^]*shares of the rungs/,
  });
  t.throws(() => planText(capacity, ['--fly']), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' });
  t.end();
});

t.test('as a command', (t) => {
  const program = fileURLToPath(new URL('./main.js', import.meta.url));
  const print = (...args: readonly string[]): string =>
    execFileSync(process.execPath, [program, 'capacity', ...args], { encoding: 'utf8' });
  t.match(print('--list'), /--users-per-call +100 user\/call: users per call\n/);
  t.equal(print('--help').trim(), capacityCommand.help);
  t.end();
});
