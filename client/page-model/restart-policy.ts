/** When to restart ICE: how long an interruption may last, and how long each attempt may take. */

/** Chromium says `disconnected` for gaps that often heal by themselves; `failed` never heals. */
const patienceMs = { disconnected: 2_500, failed: 0 } as const;
const firstAttemptMs = 4_000;
const longestAttemptMs = 15_000;

export class RestartPolicy {
  #attempts = 0;

  /** Ms to wait before the next restart while the connection is in this state. */
  delay(state: keyof typeof patienceMs): number {
    if (this.#attempts === 0) return patienceMs[state];
    return Math.min(longestAttemptMs, firstAttemptMs * 2 ** (this.#attempts - 1));
  }

  attempted(): void {
    this.#attempts++;
  }

  /** Media flows, or there is a reason to hope that the next attempt does better than the last ones. */
  reset(): void {
    this.#attempts = 0;
  }
}
