/** Verdicts of rungs that have no figures. */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { ClientError } from '../errors.ts';
import type { RungVerdict } from './types.ts';

export const noFigures = {
  code: null,
  detail: null,
  joinMs: null,
  latencyMs: null,
  bitsPerSecond: null,
  lossFraction: null,
} as const;

/** No rung can be tried, because the edge does not say where. */
export function untestedRungs(problem: ClientError | null): RungVerdict[] {
  return rungs.map((rung) => ({
    ...noFigures,
    rung,
    outcome: 'untested',
    code: problem?.code ?? null,
    detail: 'the edge could not be asked',
  }));
}
