/** The table that a bench prints. */
import type { Figure, ResultFile } from './result-file.ts';

export function formatTable(result: ResultFile): string {
  const rows = result.figures.map((figure) => [
    figure.id,
    `${formatValue(figure.value)} ${figure.unit}`,
    `${formatValue(figure.spread[0])} – ${formatValue(figure.spread[1])}`,
    figure.against === undefined ? '' : `${figure.against.name}: ${formatValue(figure.against.value)}`,
    figure.ratio === undefined ? '' : `× ${formatValue(figure.ratio)}`,
  ]);
  const header = ['figure', 'median', 'spread', 'against', 'ratio'];
  const used = header.map((_, column) => column < 3 || rows.some((row) => row[column] !== ''));
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .filter((_, column) => used[column])
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const { machine } = result;
  return [
    `${result.bench}: ${machine.cpu}, ${String(machine.cores)} cores, Linux ${machine.kernel}, Node ${machine.node}`,
    line(header),
    line(widths.map((width) => '─'.repeat(width))),
    ...rows.map(line),
  ].join('\n');
}

export function formatValue(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString('en-US') : String(value);
}

/** Of more, one does not see the wood for the trees. */
const mostInPlot = 16;

/** Figures that share a unit are drawn in one plot; where they are many, in one for each of what they are figures of. */
export function plotGroups(figures: readonly Figure[]): ReadonlyMap<string, readonly Figure[]> {
  const groups = new Map<string, Figure[]>();
  for (const figure of figures) {
    const alike = figures.filter(({ unit }) => unit === figure.unit).length;
    const title = `${figure.id.split('.', alike > mostInPlot ? 2 : 1).join('.')} (${figure.unit})`;
    const group = groups.get(title);
    if (group === undefined) groups.set(title, [figure]);
    else group.push(figure);
  }
  return groups;
}
