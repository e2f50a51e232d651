/** Which of the latest 64 exchange numbers were here before: proxies repeat requests. Older ones count as seen. */
export class SeenExchanges {
  #highest = 0;
  /** Bit i of the pair stands for `#highest - i`. */
  #recent = 0;
  #older = 0;

  /** True when the number was here before; from now on it was. */
  add(number: number): boolean {
    const ahead = number - this.#highest;
    if (ahead > 0) {
      this.#shift(ahead);
      this.#highest = number;
      this.#recent |= 1;
      return false;
    }
    const age = -ahead;
    if (age >= 64) return true;
    const bit = 1 << (age & 31);
    const seen = ((age < 32 ? this.#recent : this.#older) & bit) !== 0;
    if (age < 32) this.#recent |= bit;
    else this.#older |= bit;
    return seen;
  }

  #shift(by: number): void {
    if (by >= 64) this.#recent = this.#older = 0;
    else if (by >= 32) {
      this.#older = by === 32 ? this.#recent : this.#recent << (by - 32);
      this.#recent = 0;
    } else {
      this.#older = (this.#older << by) | (this.#recent >>> (32 - by));
      this.#recent <<= by;
    }
  }
}
