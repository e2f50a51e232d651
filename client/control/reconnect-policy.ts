/** When to try the control connection again: soon at first, then doubling, spread so that clients do not come as one. */

const firstDelayMs = 250;
const maxDelayMs = 5_000;

export class ReconnectPolicy {
  readonly #graceMs: number;
  readonly #random: () => number;
  #lostAt: number | null = null;
  #attempts = 0;

  /** `graceMs`: how long the server keeps a session without a connection. `random` gives 0 ≤ x < 1. */
  constructor(graceMs: number, random: () => number) {
    this.#graceMs = graceMs;
    this.#random = random;
  }

  connected(): void {
    this.#lostAt = null;
    this.#attempts = 0;
  }

  /**
   * The connection, or the attempt to make one, failed. Returns ms to wait before the next attempt, or null when the
   * session cannot be there any more. The first attempt after a loss follows at once, but for a spread of 100 ms.
   */
  failed(now: number): number | null {
    this.#lostAt ??= now;
    const left = this.#lostAt + this.#graceMs - now;
    if (left <= 0) return null;
    const attempt = this.#attempts++;
    const delay =
      attempt === 0
        ? 100 * this.#random()
        : Math.min(maxDelayMs, firstDelayMs * 2 ** (attempt - 1)) * (0.5 + 0.5 * this.#random());
    // The last attempt falls into the grace period, not behind it.
    return Math.min(delay, left);
  }
}
