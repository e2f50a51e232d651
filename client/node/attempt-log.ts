/** What became of each try to open a rung. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { AttemptOutcome, RungAttempt } from '../call.ts';

/** Ended attempts that are kept; a call of days tries again and again. */
const maxKept = 64;

export class AttemptLog {
  readonly #ended: RungAttempt[] = [];
  readonly #pending = new Map<Rung, number>();
  readonly #onEnd: (attempt: RungAttempt) => void;

  constructor(onEnd: (attempt: RungAttempt) => void) {
    this.#onEnd = onEnd;
  }

  /** Without effect while an attempt of this rung goes on. */
  begin(rung: Rung, now: number): void {
    if (!this.#pending.has(rung)) this.#pending.set(rung, now);
  }

  /** Without effect unless one goes on. */
  end(rung: Rung, outcome: Exclude<AttemptOutcome, 'pending' | 'skipped'>, now: number, reason?: string): void {
    const since = this.#pending.get(rung);
    if (since === undefined) return;
    this.#pending.delete(rung);
    this.#add({ rung, outcome, ms: now - since, ...(reason === undefined ? {} : { reason }) });
  }

  skip(rung: Rung, reason: string): void {
    this.#add({ rung, outcome: 'skipped', ms: 0, reason });
  }

  /** In the order in which they ended, then those that go on. */
  list(now: number): readonly RungAttempt[] {
    const pending = [...this.#pending].map(([rung, since]) => ({ rung, outcome: 'pending' as const, ms: now - since }));
    return [...this.#ended, ...pending];
  }

  #add(attempt: RungAttempt): void {
    this.#ended.push(attempt);
    if (this.#ended.length > maxKept) this.#ended.shift();
    this.#onEnd(attempt);
  }
}
