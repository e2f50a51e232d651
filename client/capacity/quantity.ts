/** Numbers with units, so that a formula that mixes up calls and users, bits and bytes, or days and hours cannot pass. */

/** Exponents of the base units; those that are 0 are left out. */
export type Dimension = Readonly<Record<string, number>>;

/** In base units: seconds, bits, and things that are counted. */
export interface Quantity {
  readonly value: number;
  readonly dimension: Dimension;
}

export interface Unit {
  /** Base units in one of it. */
  readonly scale: number;
  readonly dimension: Dimension;
}

export class UnitError extends Error {
  override readonly name = 'UnitError';
}

const counted = ['user', 'call', 'request', 'packet', 'event', 'operation', 'core', 'edge', 'session'];
const named: Readonly<Record<string, Unit>> = {
  '1': { scale: 1, dimension: {} },
  '%': { scale: 0.01, dimension: {} },
  us: { scale: 1e-6, dimension: { s: 1 } },
  ms: { scale: 1e-3, dimension: { s: 1 } },
  s: { scale: 1, dimension: { s: 1 } },
  min: { scale: 60, dimension: { s: 1 } },
  h: { scale: 3600, dimension: { s: 1 } },
  day: { scale: 86_400, dimension: { s: 1 } },
  year: { scale: 365 * 86_400, dimension: { s: 1 } },
  bit: { scale: 1, dimension: { bit: 1 } },
  B: { scale: 8, dimension: { bit: 1 } },
  ...Object.fromEntries(counted.map((name) => [name, { scale: 1, dimension: { [name]: 1 } }])),
};
/** Decimal, as networks and disks have them. */
const prefixes: Readonly<Record<string, number>> = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 };

/** `Mbit/s`, `request/call`, `core*s/packet`. Throws UnitError. */
export function parseUnit(text: string): Unit {
  const [above = '', ...below] = text.split('/');
  let unit: Unit = { scale: 1, dimension: {} };
  for (const name of above.split('*')) unit = combine(unit, unitOf(name), 1);
  for (const name of below) unit = combine(unit, unitOf(name), -1);
  return unit;
}

function unitOf(name: string): Unit {
  const known = Object.hasOwn(named, name) ? named[name] : undefined;
  if (known !== undefined) return known;
  const factor = prefixes[name[0] ?? ''];
  const rest = name.slice(1);
  const base = rest === 'bit' || rest === 'B' ? named[rest] : undefined;
  if (factor === undefined || base === undefined) throw new UnitError(`there is no unit "${name}"`);
  return { scale: factor * base.scale, dimension: base.dimension };
}

function combine(a: Unit, b: Unit, power: 1 | -1): Unit {
  return { scale: a.scale * b.scale ** power, dimension: product(a.dimension, b.dimension, power) };
}

function product(a: Dimension, b: Dimension, power: 1 | -1): Dimension {
  const sum: Record<string, number> = { ...a };
  for (const [name, exponent] of Object.entries(b)) {
    const total = (sum[name] ?? 0) + power * exponent;
    if (total === 0) Reflect.deleteProperty(sum, name);
    else sum[name] = total;
  }
  return sum;
}

export function quantity(value: number, unit: Unit): Quantity {
  return { value: value * unit.scale, dimension: unit.dimension };
}

export function multiply(a: Quantity, b: Quantity): Quantity {
  return { value: a.value * b.value, dimension: product(a.dimension, b.dimension, 1) };
}

export function divide(a: Quantity, b: Quantity): Quantity {
  return { value: a.value / b.value, dimension: product(a.dimension, b.dimension, -1) };
}

/** Throws UnitError where the two are not of one kind. */
export function add(a: Quantity, b: Quantity, sign: 1 | -1 = 1): Quantity {
  expectSame(a.dimension, b.dimension, 'added');
  return { value: a.value + sign * b.value, dimension: a.dimension };
}

export function larger(a: Quantity, b: Quantity): Quantity {
  expectSame(a.dimension, b.dimension, 'compared');
  return a.value >= b.value ? a : b;
}

export function expectSame(a: Dimension, b: Dimension, what: string): void {
  if (Object.keys(product(a, b, -1)).length === 0) return;
  throw new UnitError(`${nameOf(a)} and ${nameOf(b)} cannot be ${what}`);
}

/** `call/s`; `1` of a plain number. */
export function nameOf(dimension: Dimension): string {
  const of = (sign: 1 | -1): readonly string[] =>
    Object.entries(dimension).flatMap(([name, exponent]) =>
      Array.from({ length: Math.max(0, sign * exponent) }, () => name),
    );
  return [of(1).join('*') || '1', ...of(-1)].join('/');
}
