/** Figures of benches in place of the assumed ones. */
import { inputs } from './inputs.ts';

export interface MeasuredFigure {
  readonly id: string;
  readonly value: number;
}

export interface Measured {
  /** By the name of the input. */
  readonly values: Readonly<Record<string, number>>;
  /** Which figure each comes from. */
  readonly sources: Readonly<Record<string, string>>;
}

/** Of the figures of result files, those that an input can take. */
export function measuredInputs(figures: readonly MeasuredFigure[]): Measured {
  const values: Record<string, number> = {};
  const sources: Record<string, string> = {};
  for (const { name, measuredBy } of inputs) {
    const found = figures.find(({ id }) => id === measuredBy?.figure);
    if (found === undefined || !(found.value > 0)) continue;
    values[name] = found.value;
    sources[name] = found.id;
  }
  return { values, sources };
}
