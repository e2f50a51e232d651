/** The capacity planner's page: a form of all inputs, the plan beside it, and plots of what matters. */
import { rungNames } from '../capacity/inputs.ts';
import { defaultValues, faultsOf, inputs, planCapacity, readValue, sensitivityOf } from '../capacity/index.ts';
import type { InputValues, PlanLine, Sensitivity } from '../capacity/index.ts';

const headlines = ['callsPerSecond', 'designTarget', 'ratePerCall', 'rateInAll', 'recordedPerYear', 'edges'];

const form = part('inputs');
const fields = new Map<string, HTMLInputElement>();

for (const group of new Set(inputs.map((input) => input.group))) {
  const set = make('fieldset', {}, make('legend', {}, group));
  for (const { name, title, unit, value } of inputs.filter((input) => input.group === group)) {
    const field = make('input', { name, inputmode: 'decimal', value: String(value) });
    fields.set(name, field);
    set.append(make('label', {}, make('span', {}, title), field, make('small', {}, unit)));
  }
  form.append(set);
}
form.addEventListener('input', show);
form.addEventListener('submit', (event) => {
  event.preventDefault();
});
show();

function show(): void {
  const values: Record<string, number> = {};
  const faults: string[] = [];
  for (const input of inputs) {
    const field = fields.get(input.name);
    const value = readValue({ ...input, name: input.title }, field?.value ?? '');
    field?.setAttribute('aria-invalid', String(typeof value !== 'number'));
    if (typeof value === 'number') values[input.name] = value;
    else faults.push(value.fault);
  }
  if (faults.length === 0) faults.push(...faultsOf(values));
  const list = part('faults');
  list.hidden = faults.length === 0;
  list.replaceChildren(...faults.map((fault) => make('li', {}, fault)));
  if (faults.length === 0) showPlan(planCapacity(values), values);
}

function showPlan(lines: readonly PlanLine[], values: InputValues): void {
  const named = new Map(lines.map((line) => [line.name, line]));
  part('headline').replaceChildren(
    ...headlines.flatMap((name) => {
      const line = named.get(name);
      if (line === undefined) return [];
      return make('li', {}, make('b', {}, amount(line.value)), ` ${line.unit}`, make('small', {}, line.title));
    }),
  );
  part('results').replaceChildren(
    ...[...new Set(lines.map(({ group }) => group))].flatMap((group) => [
      make('h2', {}, group),
      make('table', {}, ...lines.filter((line) => line.group === group).map(row)),
    ]),
  );
  const costs = rungNames.map(({ suffix, rung }) => ({
    label: rung,
    value: ((values[`share${suffix}`] ?? 0) / 100) * (values[`cost${suffix}`] ?? 0),
  }));
  const packets = (named.get('packetsUp')?.value ?? 0) + (named.get('packetsDown')?.value ?? 0);
  const cores = costs.map(({ label, value }) => ({ label, value: (value * packets) / 1e6 }));
  const forwarding = { label: 'forwarding', value: named.get('sfuCores')?.value ?? 0 };
  part('costs').replaceChildren(bars([forwarding, ...cores.filter(({ value }) => value > 0)], 'cores'));
  const sensitivity = sensitivityOf({ ...defaultValues, ...values });
  part('tornado').replaceChildren(tornado(sensitivity, 'edges'));
  part('sensitivity').replaceChildren(...sensitivityRows(sensitivity));
}

function row({ title, value, unit, name, formula }: PlanLine): HTMLElement {
  return make(
    'tr',
    {},
    make('th', {}, title, make('code', {}, `${name} = ${formula}`)),
    make('td', { class: 'number' }, amount(value)),
    make('td', {}, unit),
  );
}

function sensitivityRows(sensitivity: readonly Sensitivity[]): readonly HTMLElement[] {
  const outputs = Object.keys(sensitivity[0]?.effects ?? {});
  const head = make('tr', {}, make('th', {}, 'half | twice'), ...outputs.map((output) => make('th', {}, output)));
  const factor = (value: number): string => `×${value.toFixed(2)}`;
  const rows = sensitivity.map(({ input, effects }) =>
    make(
      'tr',
      {},
      make('th', {}, input),
      ...outputs.map((output) => {
        const { halved = 1, doubled = 1 } = effects[output] ?? {};
        const isSame = Math.abs(halved - doubled) < 0.005;
        return make('td', isSame ? { class: 'same' } : {}, isSame ? '·' : `${factor(halved)} | ${factor(doubled)}`);
      }),
    ),
  );
  return [head, ...rows];
}

function bars(rows: readonly { readonly label: string; readonly value: number }[], unit: string): SVGElement {
  const largest = Math.max(...rows.map(({ value }) => value), 1e-9);
  const height = 30;
  const plot = svg('svg', { viewBox: `0 0 760 ${String(rows.length * height)}`, role: 'img' });
  for (const [index, { label, value }] of rows.entries()) {
    const y = index * height;
    const width = (value / largest) * 480;
    plot.append(
      svg('text', { x: '120', y: String(y + 17), class: 'label' }, label),
      svg('rect', { x: '130', y: String(y + 3), width: String(width), height: '19', rx: '3', class: 'bar' }),
      svg('text', { x: String(138 + width), y: String(y + 17) }, `${amount(value)} ${unit}`),
    );
  }
  return plot;
}

/** On a logarithmic axis, so that half and twice are equally far from the middle. */
function tornado(sensitivity: readonly Sensitivity[], output: string): SVGElement {
  const rows = sensitivity
    .map(({ input, effects }) => ({ input, ...(effects[output] ?? { halved: 1, doubled: 1 }) }))
    .filter(({ halved, doubled }) => Math.abs(halved - doubled) > 0.005)
    .sort((a, b) => spread(b) - spread(a));
  const height = 30;
  const plot = svg('svg', { viewBox: `0 0 760 ${String(rows.length * height + 24)}`, role: 'img' });
  const x = (factor: number): number => 440 + Math.log2(Math.min(4, Math.max(0.25, factor))) * 150;
  for (const factor of [0.5, 1, 2]) {
    plot.append(
      svg('path', { d: `M${String(x(factor))} 0V${String(rows.length * height)}`, class: 'axis' }),
      svg('text', { x: String(x(factor)), y: String(rows.length * height + 18), class: 'tick' }, `×${String(factor)}`),
    );
  }
  for (const [index, { input, halved, doubled }] of rows.entries()) {
    const y = String(index * height + 4);
    const bar = (factor: number, kind: string): SVGElement =>
      svg('rect', {
        ...{ x: String(Math.min(x(1), x(factor))), y, width: String(Math.abs(x(factor) - x(1))) },
        ...{ height: '18', rx: '2', class: kind },
      });
    plot.append(
      svg('text', { x: '190', y: String(index * height + 18), class: 'label' }, input),
      bar(halved, 'halved'),
      bar(doubled, 'bar'),
    );
  }
  return plot;
}

function spread({ halved, doubled }: { readonly halved: number; readonly doubled: number }): number {
  return Math.abs(Math.log2(Math.max(halved, 1e-9))) + Math.abs(Math.log2(Math.max(doubled, 1e-9)));
}

function amount(value: number): string {
  const rounded = Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(4));
  return rounded.toLocaleString('en-US', { maximumFractionDigits: 6 });
}

function part(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page lacks #${id}`);
  return found;
}

function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>>,
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function svg(tag: string, attributes: Readonly<Record<string, string>>, text = ''): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(text);
  return element;
}
