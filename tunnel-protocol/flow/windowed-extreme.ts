/**
 * The greatest value of the last so many ms, in constant space: the best, the second and the third best of ever later
 * parts of the window are kept (K. Nichols' algorithm, as in Linux's `lib/minmax.c`). For the least value, negate.
 */
export class WindowedMax {
  #at0 = 0;
  #at1 = 0;
  #at2 = 0;
  #value0 = -Infinity;
  #value1 = -Infinity;
  #value2 = -Infinity;

  /** -Infinity before the first value. It stays until a later `add` finds it too old. */
  get value(): number {
    return this.#value0;
  }

  /** `now` never goes back. */
  add(value: number, now: number, windowMs: number): void {
    if (value >= this.#value0 || now - this.#at2 > windowMs) {
      this.reset(value, now);
      return;
    }
    if (value >= this.#value1) {
      this.#value1 = this.#value2 = value;
      this.#at1 = this.#at2 = now;
    } else if (value >= this.#value2) {
      this.#value2 = value;
      this.#at2 = now;
    }
    this.#age(value, now, windowMs);
  }

  /** Forgets all values but this one. */
  reset(value: number, now: number): void {
    this.#value0 = this.#value1 = this.#value2 = value;
    this.#at0 = this.#at1 = this.#at2 = now;
  }

  #age(value: number, now: number, windowMs: number): void {
    const since = now - this.#at0;
    if (since > windowMs) {
      this.#shift(value, now);
      if (now - this.#at0 > windowMs) this.#shift(value, now);
    } else if (this.#at1 === this.#at0 && since > windowMs / 4) {
      // A quarter of the window went by without a second best: take it from the second quarter.
      this.#value1 = this.#value2 = value;
      this.#at1 = this.#at2 = now;
    } else if (this.#at2 === this.#at1 && since > windowMs / 2) {
      this.#value2 = value;
      this.#at2 = now;
    }
  }

  #shift(value: number, now: number): void {
    this.#value0 = this.#value1;
    this.#at0 = this.#at1;
    this.#value1 = this.#value2;
    this.#at1 = this.#at2;
    this.#value2 = value;
    this.#at2 = now;
  }
}
