/** Turns the RTP timestamps of one stream into moments of this side's clock, by the sender reports of its publisher. */

/** Until a difference is this large it is mended little by little, so that nobody hears it; in ms. */
export const jumpMs = 250;
/** So much is mended with every report of the clock, which come ten times a second; in ms. */
export const slewMs = 4;

export class MediaClock {
  readonly #ticksPerMs: number;
  /** The newest timestamp, and what it is without the wraps at 2^32. */
  #last = -1;
  #unwrapped = 0;
  /** What is added to a timestamp in ms to get the time; NaN before anything is known. */
  #offset = NaN;
  #referenced = false;

  /** `clockRate` in Hz. */
  constructor(clockRate: number) {
    this.#ticksPerMs = clockRate / 1000;
  }

  /** A packet with this timestamp came no later than `now`, in ms. All that is known before the first sender report. */
  heard(timestamp: number, now: number): void {
    const ms = this.#advance(timestamp) / this.#ticksPerMs;
    const late = now - (ms + this.#offset);
    // A clock that was never told of its publisher's follows what comes, but not what is merely late.
    if (Number.isNaN(this.#offset) || (!this.#referenced && (late < 0 || late > jumpMs))) this.#offset = now - ms;
  }

  /** The stream's timestamp is this at the moment `now`, in ms, as the sender reports say. */
  reported(timestamp: number, now: number): void {
    if (this.#last < 0) return;
    const target = now - this.#peek(timestamp) / this.#ticksPerMs;
    const off = target - this.#offset;
    this.#referenced = true;
    if (Number.isNaN(off) || Math.abs(off) > jumpMs) this.#offset = target;
    else this.#offset += Math.max(-slewMs, Math.min(slewMs, off));
  }

  /** When what has this timestamp was taken, in ms. NaN before `heard`. */
  timeOf(timestamp: number): number {
    return this.#peek(timestamp) / this.#ticksPerMs + this.#offset;
  }

  #peek(timestamp: number): number {
    return this.#unwrapped + ((timestamp - this.#last) | 0);
  }

  #advance(timestamp: number): number {
    if (this.#last < 0) this.#unwrapped = timestamp;
    else {
      const ahead = (timestamp - this.#last) | 0;
      // A late packet does not turn the clock back.
      if (ahead <= 0) return this.#unwrapped + ahead;
      this.#unwrapped += ahead;
    }
    this.#last = timestamp;
    return this.#unwrapped;
  }
}
