/**
 * How the one-way delays change. Two clocks tell no delay, because nobody knows how far they are apart; but that stays the
 * same, so each way can be compared with its own shortest of late: what is above it waits somewhere on that way.
 */

/** Above the shortest of late, in ms. */
export interface DelayTrend {
  /** From this end to the peer. */
  readonly outwardMs: number;
  /** From the peer to this end. */
  readonly backMs: number;
}

/** With a ping every 5 s a minute: longer, and clocks drift apart by themselves. */
export const trendSamples = 12;

export class DelayTrends {
  readonly #outward = new WaySamples();
  readonly #back = new WaySamples();

  /** All are u32 ms: `sent` and `received` by the own clock, `answered` by the peer's. */
  add(sent: number, answered: number, received: number): DelayTrend {
    return { outwardMs: this.#outward.add(answered - sent), backMs: this.#back.add(received - answered) };
  }
}

/** Delays of one way, each with the same unknown difference of the clocks. */
class WaySamples {
  /** Since the first, which may be of any size: modulo 2^32 the difference of two is small and signed. */
  readonly #latest: number[] = [];
  #first: number | null = null;

  add(delay: number): number {
    this.#first ??= delay;
    const sample = (delay - this.#first) | 0;
    this.#latest.push(sample);
    if (this.#latest.length > trendSamples) this.#latest.shift();
    return sample - Math.min(...this.#latest);
  }
}
