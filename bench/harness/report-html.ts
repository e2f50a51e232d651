/** The HTML report of one bench: a file that opens by itself, with bars, spreads and what they are measured against. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { curveGroups, curvePlot } from './report-curves.ts';
import { formatValue, plotGroups } from './report-table.ts';
import type { Figure, ResultFile } from './result-file.ts';

const barHeight = 22;
const rowHeight = 60;
const labelWidth = 330;
const plotWidth = 520;

/** Writes `<folder>/<bench>.html` and returns its path. */
export function writeHtmlReport(folder: string, result: ResultFile): string {
  const file = join(folder, `${result.bench}.html`);
  writeFileSync(file, htmlReport(result));
  return file;
}

export function htmlReport(result: ResultFile): string {
  const { machine } = result;
  const plots = [...plotGroups(result.figures)]
    // A bar alone shows nothing that its number does not.
    .filter(([, figures]) => figures.length > 1 || figures[0]?.against !== undefined)
    .map(([title, figures]) => plot(title, figures))
    .join('\n');
  const curves = [...curveGroups(result.figures)]
    .map(([title, figures]) => curvePlot(title, figures, escape))
    .join('\n');
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sallyport bench: ${escape(result.bench)}</title>
<style>${style}</style>
<main>
<header>
<h1>${escape(result.bench)}</h1>
<p>${escape(machine.cpu)}, ${String(machine.cores)} cores · Linux ${escape(machine.kernel)} · Node ${escape(machine.node)}<br>
<time datetime="${escape(result.when)}">${escape(result.when.slice(0, 16).replace('T', ' '))} UTC</time> · commit <code>${escape(result.commit.slice(0, 10))}</code></p>
</header>
${curves}
${plots}
<section><h2>All figures</h2>
<table><thead><tr><th>figure<th>median<th>spread of the runs<th>against<th>ratio</thead><tbody>
${result.figures.map(tableRow).join('\n')}
</tbody></table></section>
</main>
</html>
`;
}

function tableRow(figure: Figure): string {
  const compared = figure.against;
  return `<tr><td><code>${escape(figure.id)}</code><td class="n">${formatValue(figure.value)} ${escape(figure.unit)}<td class="n">${formatValue(figure.spread[0])} – ${formatValue(figure.spread[1])}<td>${
    compared === undefined ? '' : `${escape(compared.name)}: ${formatValue(compared.value)}`
  }<td class="n">${figure.ratio === undefined ? '' : `× ${formatValue(figure.ratio)}`}`;
}

function plot(title: string, figures: readonly Figure[]): string {
  const largest = Math.max(...figures.map((figure) => Math.max(figure.spread[1], figure.against?.value ?? 0)), 1e-9);
  const scale = (value: number): string => ((Math.max(0, value) / largest) * plotWidth).toFixed(1);
  const width = labelWidth + plotWidth + 130;
  const rows = figures.map((figure, index) => {
    const y = index * rowHeight;
    const [low, high] = figure.spread;
    const middle = String(y + barHeight / 2);
    const other = figure.against;
    return `<text x="${String(labelWidth - 10)}" y="${String(y + 16)}" class="label">${escape(figure.id)}</text>
<rect x="${String(labelWidth)}" y="${String(y)}" width="${scale(figure.value)}" height="${String(barHeight)}" rx="3" class="ours"/>
<path d="M${String(labelWidth + Number(scale(low)))} ${middle}H${String(labelWidth + Number(scale(high)))}" class="spread"/>
<text x="${String(labelWidth + Number(scale(Math.max(high, figure.value))) + 8)}" y="${String(y + 16)}">${formatValue(figure.value)}</text>
${
  other === undefined
    ? ''
    : `<rect x="${String(labelWidth)}" y="${String(y + barHeight + 3)}" width="${scale(other.value)}" height="12" rx="3" class="theirs"/>
<text x="${String(labelWidth + Number(scale(other.value)) + 8)}" y="${String(y + barHeight + 13)}" class="small">${escape(other.name)} ${formatValue(other.value)}</text>`
}`;
  });
  const height = figures.length * rowHeight - (rowHeight - barHeight - 18);
  return `<section><h2>${escape(title)}</h2>
<svg viewBox="0 0 ${String(width)} ${String(height)}" role="img" aria-label="${escape(title)}">${rows.join('\n')}</svg></section>`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

const style = `
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fbfbf9;--muted:#66707e;--line:#d9dde3;--ours:#2f6f8f;--theirs:#b9a37a}
@media (prefers-color-scheme:dark){:root{--ink:#e8ebef;--paper:#14181d;--muted:#97a1ae;--line:#2b323b;--ours:#58a6c9;--theirs:#8a7a58}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:32px 20px 60px}
h1{margin:0;font-size:28px}h2{font-size:17px;margin:36px 0 12px}header p{color:var(--muted);margin:6px 0 0}
svg{width:100%;height:auto}svg text{fill:var(--ink);font:13px system-ui,sans-serif}svg .label{text-anchor:end;font-family:ui-monospace,monospace;font-size:12px}
svg .small{fill:var(--muted);font-size:11px}.ours{fill:var(--ours)}.theirs{fill:var(--theirs)}.grid{stroke:var(--line);stroke-width:1;fill:none}.spread{stroke:var(--ink);stroke-width:2;opacity:.55}
table{border-collapse:collapse;width:100%;font-size:14px}th,td{text-align:left;padding:6px 10px;border-bottom:1px solid var(--line)}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code{font-family:ui-monospace,monospace;font-size:.92em}
`;
