/** Two result files of one bench: what became worse, and what the runs' own spread explains. */
import { formatValue } from './report-table.ts';
import type { Figure, ResultFile } from './result-file.ts';

export type Verdict = 'worse' | 'better' | 'within the spread';

export interface Comparison {
  readonly id: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  /** After divided by before. */
  readonly factor: number;
  readonly verdict: Verdict;
}

/** Where more is better; of everything else (time, bytes, CPU, loss) less is. */
const moreIsBetter = /(?:pps|per_s|_percent|sessions)$/;

/**
 * Figures that both files have. A figure has changed when the spreads of both do not touch, and the median moved by more
 * than `leastShare`: two runs of the same program must come out as equal.
 */
export function compareResults(before: ResultFile, after: ResultFile, leastShare = 0.05): readonly Comparison[] {
  const old = new Map(before.figures.map((figure) => [figure.id, figure]));
  return after.figures.flatMap((figure) => {
    const other = old.get(figure.id);
    return other?.unit !== figure.unit ? [] : compareFigures(other, figure, leastShare);
  });
}

function compareFigures(before: Figure, after: Figure, leastShare: number): Comparison {
  const factor = before.value === 0 ? (after.value === 0 ? 1 : Infinity) : after.value / before.value;
  const touching = before.spread[0] <= after.spread[1] && after.spread[0] <= before.spread[1];
  const isLess = after.value < before.value;
  const verdict: Verdict =
    touching || Math.abs(factor - 1) <= leastShare
      ? 'within the spread'
      : isLess === moreIsBetter.test(after.id)
        ? 'worse'
        : 'better';
  return { id: after.id, unit: after.unit, before: before.value, after: after.value, factor, verdict };
}

/** Regressions first; a line each, and a sentence where the machines differ. */
export function formatComparison(before: ResultFile, after: ResultFile): string {
  const all = compareResults(before, after);
  const changed = (verdict: Verdict): readonly string[] =>
    all
      .filter((each) => each.verdict === verdict)
      .map(
        ({ id, unit, before: old, after: now, factor }) =>
          `  ${verdict}: ${id}  ${formatValue(old)} → ${formatValue(now)} ${unit} (× ${factor.toFixed(2)})`,
      );
  const same = all.filter(({ verdict }) => verdict === 'within the spread').length;
  const [a, b] = [before.machine, after.machine];
  const isOther = a.cpu !== b.cpu || a.cores !== b.cores || a.node !== b.node;
  return [
    `compared with ${before.when.slice(0, 16)} (commit ${before.commit.slice(0, 10)}): ${String(all.length)} figures in both`,
    ...(isOther ? ['  another machine or Node version: only ratios can be compared'] : []),
    ...changed('worse'),
    ...changed('better'),
    `  ${String(same)} within the spread of the runs`,
  ].join('\n');
}
