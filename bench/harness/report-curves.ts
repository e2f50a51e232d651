/** Curves of the HTML report: which share of what was measured took no longer than so long. */
import type { Figure } from './result-file.ts';

const left = 60;
const width = 640;
const height = 260;
const legendWidth = 280;
const bottom = 40;
const top = 10;
const colours = ['#2f6f8f', '#b5762a', '#5b8c3e', '#a0466b', '#6a5fb0', '#3a9188', '#8a6d3b', '#7d7d7d'];

/** Figures with a distribution that are named alike, but for what they are figures of. */
export function curveGroups(figures: readonly Figure[]): ReadonlyMap<string, readonly Figure[]> {
  const groups = new Map<string, Figure[]>();
  for (const figure of figures) {
    if (figure.distribution === undefined) continue;
    const title = figure.id.split('.').at(-1) ?? figure.id;
    groups.set(title, [...(groups.get(title) ?? []), figure]);
  }
  return groups;
}

/** `escape` is for text in HTML. */
export function curvePlot(title: string, figures: readonly Figure[], escape: (text: string) => string): string {
  const values = figures.flatMap(({ distribution = [] }) => distribution.filter((value) => value > 0));
  // From one power of ten to another, because some are a hundred times as long as others.
  const first = Math.floor(Math.log10(Math.min(...values, 1)));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(...values, 1))));
  const x = (value: number): number => {
    const place = (Math.log10(Math.max(value, 10 ** first)) - first) / (last - first);
    return left + place * width;
  };
  const y = (share: number): number => top + (1 - share) * height;
  const decades = Array.from({ length: last - first + 1 }, (_, at) => first + at);
  const grid = [
    ...decades.map((decade) => line(x(10 ** decade), y(0), x(10 ** decade), y(1), shown(decade), 'middle')),
    ...[0, 0.5, 0.95, 1].map((share) =>
      line(left, y(share), left + width, y(share), `${String(share * 100)} %`, 'end'),
    ),
  ];
  const curves = figures.map(({ id, distribution = [] }, at) => {
    const colour = colours[at % colours.length] ?? '';
    const points = distribution.map((value, step) => {
      return `${x(value).toFixed(1)},${y(step / Math.max(1, distribution.length - 1)).toFixed(1)}`;
    });
    const row = top + 14 + at * 20;
    const name = id.split('.').slice(1, -1).join('.');
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2.5"/>
<rect x="${String(left + width + 24)}" y="${String(row - 9)}" width="14" height="10" rx="2" fill="${colour}"/>
<text x="${String(left + width + 46)}" y="${String(row)}">${escape(name)}</text>`;
  });
  const box = `0 0 ${String(left + width + legendWidth)} ${String(Math.max(top + height + bottom, top + 14 + figures.length * 20))}`;
  return `<section><h2>${escape(title)}: share of all that took no longer than so many ms</h2>
<svg viewBox="${box}" role="img" aria-label="${escape(title)}">${grid.join('\n')}
${curves.join('\n')}</svg></section>`;
}

function line(x1: number, y1: number, x2: number, y2: number, text: string, anchor: 'middle' | 'end'): string {
  const [textX, textY] = anchor === 'middle' ? [x1, y1 + 20] : [x1 - 8, y1 + 4];
  return `<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" class="grid"/>
<text x="${textX.toFixed(1)}" y="${textY.toFixed(1)}" text-anchor="${anchor}" class="small">${text}</text>`;
}

function shown(decade: number): string {
  return decade < 0 ? (10 ** decade).toFixed(-decade) : String(10 ** decade);
}
