/** RTP timestamps wrap at 32 bits; what comes out does not. */
export class TimestampUnwrapper {
  #last: number | null = null;
  #unwrapped = 0;

  /** In the timestamp's own units; the first one is 0, earlier ones are negative. */
  unwrap(timestamp: number): number {
    this.#unwrapped += this.#last === null ? 0 : (timestamp - this.#last) | 0;
    this.#last = timestamp;
    return this.#unwrapped;
  }
}
