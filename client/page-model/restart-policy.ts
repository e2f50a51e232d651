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

const firstProbeMs = 5_000;
const longestProbeMs = 30_000;
/** Falls that are longer ago count no more. */
const memoryMs = 120_000;

/** When to try the browser's own WebRTC again while media is on the tunnel. Times are monotonic ms. */
export class ProbePolicy {
  #falls = 0;
  #fellAt = -Infinity;

  /** Media had to leave it: soon it is tried again, in case it was a short interruption, but not for ever so soon. */
  fell(now: number): void {
    this.#falls = now - this.#fellAt > memoryMs ? 1 : this.#falls + 1;
    this.#fellAt = now;
  }

  /** Ms until the next attempt. */
  delay(now: number): number {
    const isFresh = now - this.#fellAt < firstProbeMs * 2 ** (this.#falls - 1);
    return isFresh ? Math.min(longestProbeMs, firstProbeMs * 2 ** (this.#falls - 1)) : longestProbeMs;
  }
}
