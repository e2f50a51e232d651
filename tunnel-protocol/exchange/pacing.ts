/** How fast a client sends requests: the round trip, how long it gathers, and the pauses after failures. */
import { exchangeLimits } from './limits.ts';

export class Pacing {
  #roundTripMs: number | null = null;
  #failures = 0;
  #failingSince: number | null = null;
  #retryAt = -Infinity;

  /** Smoothed; null before the first answer. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /** Gathering for half a round trip costs little beside it, and saves most requests. */
  get gatherMs(): number {
    const { minGatherMs, maxGatherMs } = exchangeLimits;
    return Math.round(Math.min(Math.max((this.#roundTripMs ?? 0) / 2, minGatherMs), maxGatherMs));
  }

  /** No request before this. */
  get retryAt(): number {
    return this.#retryAt;
  }

  /** A time that is surely longer than what the network takes. */
  longerThan(leastMs: number): number {
    return Math.max(leastMs, 4 * (this.#roundTripMs ?? 0));
  }

  measured(ms: number): void {
    this.#roundTripMs = this.#roundTripMs === null ? ms : (7 * this.#roundTripMs + ms) / 8;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#failingSince = null;
    this.#retryAt = -Infinity;
  }

  /** The first failure is followed by another attempt at once. True when it is time to give up. */
  failed(now: number): boolean {
    this.#failingSince ??= now;
    const { retryMs, maxRetryMs, giveUpAfterMs } = exchangeLimits;
    if (this.#failures > 0) this.#retryAt = now + Math.min(retryMs * 2 ** (this.#failures - 1), maxRetryMs);
    this.#failures++;
    return now - this.#failingSince >= giveUpAfterMs;
  }
}
