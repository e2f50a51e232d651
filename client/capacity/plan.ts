/** From inputs to the plan, its sensitivity, and the faults of what was typed. */
import { evaluate } from './formula.ts';
import { formulas, type Formula } from './formulas.ts';
import { inputs, rungNames, type Input } from './inputs.ts';
import { expectSame, parseUnit, quantity, UnitError, type Quantity } from './quantity.ts';

/** Values of inputs by name, in the unit of each. */
export type InputValues = Readonly<Record<string, number>>;

export interface PlanLine extends Formula {
  readonly value: number;
}

export const defaultValues: InputValues = Object.fromEntries(inputs.map(({ name, value }) => [name, value]));

const constants: Readonly<Record<string, Quantity>> = { day: quantity(1, parseUnit('day')) };

/** Inputs that are left out have their defaults. Throws UnitError when a formula and its unit do not fit. */
export function planCapacity(values: InputValues = {}): readonly PlanLine[] {
  const known = new Map<string, Quantity>(Object.entries(constants));
  for (const { name, unit, value } of inputs) known.set(name, quantity(values[name] ?? value, parseUnit(unit)));
  return formulas.map((line) => {
    const result = evaluate(line.formula, (name) => {
      const found = known.get(name);
      if (found === undefined) throw new ReferenceError(`${line.name}: there is no ${name}`);
      return found;
    });
    const unit = parseUnit(line.unit);
    expectSame(result.dimension, unit.dimension, `the same (${line.name})`);
    known.set(line.name, result);
    return { ...line, value: result.value / unit.scale };
  });
}

/** Reads what was typed: `10`, `1e9`, `1,000`, or with a unit of the same kind, as `2 h` or `500kbit/s/user`. */
export function readValue(
  { name, unit }: Pick<Input, 'name' | 'unit'>,
  text: string,
): number | { readonly fault: string } {
  const [, digits = '', typed = ''] = /^\s*([-+]?[\d.,]+(?:e[-+]?\d+)?)\s*(\S*)\s*$/i.exec(text) ?? [];
  const number = Number(digits.replaceAll(',', ''));
  if (digits === '' || !Number.isFinite(number)) return { fault: `${name}: "${text}" is not a number (${unit})` };
  if (number < 0) return { fault: `${name}: must not be negative` };
  try {
    const wanted = parseUnit(unit);
    if (typed === '') return number;
    const given = parseUnit(typed);
    expectSame(given.dimension, wanted.dimension, 'the same');
    return (number * given.scale) / wanted.scale;
  } catch (error) {
    if (!(error instanceof UnitError)) throw error;
    return { fault: `${name}: "${typed}" does not fit; the unit is ${unit}` };
  }
}

/** What would make the plan meaningless; all of it together. */
export function faultsOf(values: InputValues): readonly string[] {
  const all = { ...defaultValues, ...values };
  const faults = mustBePositive.filter((name) => !((all[name] ?? 0) > 0)).map((name) => `${name}: must be more than 0`);
  const shares = rungNames.reduce((sum, { suffix }) => sum + (all[`share${suffix}`] ?? 0), 0);
  if (Math.abs(shares - 100) > 0.01) {
    faults.push(`the shares of the rungs must be 100 % together; they are ${String(Math.round(shares * 100) / 100)} %`);
  }
  if ((all['fullest'] ?? 0) > 100) faults.push('fullest: at most 100 %');
  if ((all['recordedShare'] ?? 0) > 100) faults.push('recordedShare: at most 100 %');
  if ((all['window'] ?? 0) > 24) faults.push('window: at most 24 h');
  return faults;
}

const mustBePositive = ['users', 'window', 'packetSize', 'sfuRate', 'coresPerEdge', 'wirePerEdge', 'fullest', 'refreshTime', 'telemetryTime']; // prettier-ignore

export interface Sensitivity {
  readonly input: string;
  /** By which factor each output changes when the input alone is half, or twice, what it was. */
  readonly effects: Readonly<Record<string, { readonly halved: number; readonly doubled: number }>>;
}

export const sensitiveOutputs = ['designTarget', 'rateInAll', 'edges', 'redisOperations', 'telemetryEvents'] as const;
const variedInputs = ['callsPerDay', 'window', 'callLength', 'usersPerCall', 'highRate', 'thumbnails', 'packetSize', 'sfuRate', 'costTurnTls', 'wirePerEdge', 'fullest', 'telemetryTime'] as const; // prettier-ignore

/** Of the inputs that matter most. */
export function sensitivityOf(values: InputValues = {}): readonly Sensitivity[] {
  const at = (changed: InputValues): ReadonlyMap<string, number> =>
    new Map(planCapacity({ ...defaultValues, ...values, ...changed }).map(({ name, value }) => [name, value]));
  const base = at({});
  return variedInputs.map((input) => {
    const value = values[input] ?? defaultValues[input] ?? 0;
    const [halved, doubled] = [at({ [input]: value / 2 }), at({ [input]: value * 2 })];
    const factor = (changed: ReadonlyMap<string, number>, output: string): number =>
      (changed.get(output) ?? 0) / (base.get(output) || 1);
    const effects = Object.fromEntries(
      sensitiveOutputs.map((output) => [output, { halved: factor(halved, output), doubled: factor(doubled, output) }]),
    );
    return { input, effects };
  });
}
