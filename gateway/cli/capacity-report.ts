/** The plan as a person reads it on a terminal. */

export interface CapacityPlan {
  readonly inputs: readonly {
    readonly title: string;
    readonly value: number;
    readonly unit: string;
    readonly source: string;
  }[];
  readonly lines: readonly {
    readonly title: string;
    readonly value: number;
    readonly unit: string;
    readonly group: string;
    readonly name: string;
    readonly formula: string;
  }[];
  readonly sensitivity: readonly {
    readonly input: string;
    readonly effects: Readonly<Record<string, { readonly halved: number; readonly doubled: number }>>;
  }[];
}

export function capacityReport({ inputs, lines, sensitivity }: CapacityPlan): string {
  const parts = [
    heading('Inputs'),
    table(inputs.map(({ title, value, unit, source }) => [title, amount(value), unit, source])),
  ];
  for (const group of new Set(lines.map((line) => line.group))) {
    const rows = lines.filter((line) => line.group === group);
    parts.push(
      heading(capital(group)),
      table(rows.map(({ title, value, unit, name, formula }) => [title, amount(value), unit, `${name} = ${formula}`])),
    );
  }
  const outputs = Object.keys(sensitivity[0]?.effects ?? {});
  const factor = (value: number): string => (Math.abs(value - 1) < 0.0005 ? '·' : `×${value.toFixed(2)}`);
  parts.push(
    heading('Sensitivity: each input alone at half | at twice its value'),
    table([
      ['', ...outputs],
      ...sensitivity.map(({ input, effects }) => [
        input,
        ...outputs.map((output) => {
          const { halved = 1, doubled = 1 } = effects[output] ?? {};
          return halved === doubled ? '·' : `${factor(halved)} | ${factor(doubled)}`;
        }),
      ]),
    ]),
  );
  return `${parts.join('\n')}\n`;
}

function heading(text: string): string {
  return `\n${text}\n${'─'.repeat(text.length)}`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** Four significant digits, and whole numbers from a thousand on. */
function amount(value: number): string {
  const rounded = Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(4));
  return rounded.toLocaleString('en-US', { maximumFractionDigits: 6 });
}

/** Columns as wide as they need; the second is of numbers. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 1 ? cell.padStart(widths[1] ?? 0) : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join('\n');
}
