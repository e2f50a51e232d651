/** What the matrix shows of a call's attempts. */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { AttemptOutcome, RungAttempt } from '../../client/index.ts';

/** The first of these tells more than the others. */
const telling: readonly AttemptOutcome[] = ['connected', 'failed', 'pending', 'superseded', 'skipped'];

/** For media, one attempt of each rung that was tried, best rung first: the quickest that worked, or how it failed. */
export function bestAttempts(attempts: readonly RungAttempt[]): readonly RungAttempt[] {
  const forMedia = attempts.filter(({ channel }) => channel !== 'control');
  return rungs.flatMap((rung) => {
    const tried = forMedia
      .filter((attempt) => attempt.rung === rung)
      .sort((a, b) => telling.indexOf(a.outcome) - telling.indexOf(b.outcome) || a.ms - b.ms);
    return tried[0] ?? [];
  });
}
