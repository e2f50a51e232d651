import t from 'tap';
import * as fc from 'fast-check';
import { evaluate, namesIn } from './formula.ts';
import {
  defaultValues,
  faultsOf,
  formulas,
  inputs,
  measuredInputs,
  planCapacity,
  readValue,
  sensitivityOf,
} from './index.ts';
import { nameOf, parseUnit, quantity } from './quantity.ts';

function valueOf(name: string, values: Readonly<Record<string, number>> = {}): number {
  return planCapacity(values).find((line) => line.name === name)?.value ?? NaN;
}

t.test('a billion users: the figures that the design began with', (t) => {
  const rounded = (name: string): number => Number(valueOf(name).toPrecision(12));
  t.equal(Math.floor(valueOf('callsPerSecond')), 2_777);
  t.equal(Number(valueOf('requestsPerSecond').toPrecision(2)), 56_000);
  t.equal(rounded('designTarget'), 60_000);
  t.equal(rounded('upPerCall'), 100);
  t.equal(rounded('downPerCall'), 150);
  t.equal(rounded('ratePerCall'), 250);
  t.equal(rounded('recordedPerDay'), 100);
  t.equal(rounded('recordedPerYear'), 36.5);
  t.end();
});

t.test('every input is used, every name is known, and each line has its unit', (t) => {
  const used = new Set(formulas.flatMap(({ formula }) => namesIn(formula)));
  for (const { name } of inputs) t.ok(used.has(name), name);
  t.equal(planCapacity().length, formulas.length);
  t.equal(new Set([...inputs, ...formulas].map(({ name }) => name)).size, inputs.length + formulas.length);
  t.end();
});

t.test('units that do not fit are no sum, no maximum and no result', (t) => {
  const values = { a: quantity(1, parseUnit('call/s')), b: quantity(2, parseUnit('user')) };
  const find = (name: string) => values[name as 'a' | 'b'];
  t.throws(() => evaluate('a + b', find), { name: 'UnitError' });
  t.throws(() => evaluate('max(a, b)', find), { name: 'UnitError' });
  t.throws(() => parseUnit('furlong'), { name: 'UnitError' });
  for (const formula of ['a +', '(a', 'a b', 'max(a)', ''])
    t.throws(() => evaluate(formula, find), SyntaxError, formula);
  t.equal(nameOf(evaluate('a * b / (b * b)', find).dimension), 'call/s/user');
  t.equal(evaluate('ceil(b * 1.2)', find).value, 3);
  t.equal(parseUnit('MB').scale, 8e6);
  t.end();
});

t.test('formulas compute as arithmetic does', (t) => {
  const number = fc.integer({ min: 1, max: 1000 });
  fc.assert(
    fc.property(number, number, number, (a, b, c) => {
      const find = (name: string) => ({ value: { a, b, c }[name as 'a' | 'b' | 'c'], dimension: {} });
      const { value } = evaluate('a * (b - c) / 2 + max(b, c) - a', find);
      return Math.abs(value - ((a * (b - c)) / 2 + Math.max(b, c) - a)) < 1e-6;
    }),
  );
  t.pass('for all of them');
  t.end();
});

t.test('what is typed may have a unit of the same kind', (t) => {
  const input = { name: 'highRate', unit: 'Mbit/s/user' };
  t.equal(readValue(input, ' 1,500 '), 1500);
  t.equal(readValue(input, '500 kbit/s/user'), 0.5);
  t.equal(readValue(input, '1e3'), 1000);
  for (const text of ['', 'x', '-1', '1 MB', '1 furlong', '1 2']) t.type(readValue(input, text), Object, text);
  t.end();
});

t.test('faults are told together', (t) => {
  t.same(faultsOf(defaultValues), []);
  t.equal(faultsOf({ users: 0, sfuRate: 0, shareUdp: 10, fullest: 120, recordedShare: 101, window: 25 }).length, 6);
  t.end();
});

t.test('measured figures replace assumed ones, and half and twice change what they should', (t) => {
  const measured = measuredInputs([
    { id: 'sfu.fanout10.1200.pps', value: 35_000 },
    { id: 'turn.tls.1000.cpu_us', value: 0 },
  ]);
  t.same(measured, { values: { sfuRate: 35_000 }, sources: { sfuRate: 'sfu.fanout10.1200.pps' } });
  t.equal(valueOf('sfuCores', measured.values) / valueOf('sfuCores'), 2);
  const window = sensitivityOf().find(({ input }) => input === 'window')?.effects['designTarget'];
  t.equal(window?.halved, 2);
  t.equal(window?.doubled, 0.5);
  t.end();
});
