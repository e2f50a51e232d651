/** Which record sequence numbers were seen (RFC 6347 section 4.1.2.6), over the last 128. */

const windowRecords = 128;

export class ReplayWindow {
  /** One bit per sequence number, at its value modulo the window. */
  readonly #seen = new Uint32Array(windowRecords / 32);
  #highest = -1;

  /** True for a number that was marked, or that is too old to tell. */
  isReplay(sequence: number): boolean {
    if (sequence > this.#highest) return false;
    if (sequence <= this.#highest - windowRecords) return true;
    const bit = sequence % windowRecords;
    return (((this.#seen[bit >>> 5] as number) >>> (bit & 31)) & 1) === 1;
  }

  /** To be called only once the record is authenticated: a forged one must not move the window. */
  mark(sequence: number): void {
    if (sequence > this.#highest) {
      if (sequence - this.#highest >= windowRecords) this.#seen.fill(0);
      else for (let passed = this.#highest + 1; passed < sequence; passed++) this.#clear(passed);
      this.#highest = sequence;
    }
    const bit = sequence % windowRecords;
    this.#seen[bit >>> 5] = (this.#seen[bit >>> 5] as number) | (1 << (bit & 31));
  }

  #clear(sequence: number): void {
    const bit = sequence % windowRecords;
    this.#seen[bit >>> 5] = (this.#seen[bit >>> 5] as number) & ~(1 << (bit & 31));
  }
}
