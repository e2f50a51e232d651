/** How much audio should wait before it is played: what 97 % of the packets of the last seconds were late, and a frame. */

const minMs = 40;
const maxMs = 200;
const marginMs = 20;
/** Of packets of 20 ms each: five seconds. */
const windowPackets = 256;
const evaluateEvery = 16;
const quantile = 0.97;
/** It rises at once and falls by this much each time it is evaluated, about three times a second. */
const fallMs = 2;

export class DelayTarget {
  readonly #transits: number[] = [];
  #at = 0;
  #untilEvaluation = evaluateEvery;
  #ms = minMs;

  get ms(): number {
    return this.#ms;
  }

  /** `transitMs`: arrival minus media time, of any origin that stays. */
  arrived(transitMs: number): void {
    this.#transits[this.#at] = transitMs;
    this.#at = (this.#at + 1) % windowPackets;
    if (--this.#untilEvaluation > 0) return;
    this.#untilEvaluation = evaluateEvery;
    const sorted = this.#transits.slice().sort((a, b) => a - b);
    const late = (sorted[Math.floor(sorted.length * quantile)] ?? 0) - (sorted[0] ?? 0);
    const wanted = Math.min(maxMs, Math.max(minMs, late + marginMs));
    this.#ms = Math.max(wanted, this.#ms - fallMs);
  }

  /** Media time has another origin. */
  restart(): void {
    this.#transits.length = 0;
    this.#at = 0;
  }
}
