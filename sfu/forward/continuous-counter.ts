/**
 * Makes one running number of the running numbers of successive sources, each of which starts anywhere (VP8 picture ids
 * and TL0PICIDX). Within a source distances are kept, so that a missing frame is missed behind too.
 */
export class ContinuousCounter {
  /** The highest number given out. */
  #highest: number;
  #aligned = false;
  /** The source's newest number, extended. */
  #newest = 0;
  #shift = 0;

  constructor(first: number) {
    this.#highest = first - 1;
  }

  /** The next number is of another source. */
  restart(): void {
    this.#aligned = false;
  }

  /** `bits` is the width of the source's numbers. The result is extended: the caller cuts it to the width it writes. */
  map(value: number, bits: number): number {
    if (!this.#aligned) {
      this.#aligned = true;
      this.#newest = value;
      this.#shift = this.#highest + 1 - value;
    }
    const unused = 32 - bits;
    const extended = this.#newest + (((value - this.#newest) << unused) >> unused);
    if (extended > this.#newest) this.#newest = extended;
    const mapped = extended + this.#shift;
    if (mapped > this.#highest) this.#highest = mapped;
    return mapped;
  }
}
