/** What a path delivers while it is given more than that: bytes that left in stretches in which some always waited. */
const stretchMs = 500;
/** How long a rate is believed after its stretch. */
const believedMs = 2000;

export class DeliveryMeter {
  #since: number;
  #bytes = 0;
  #wasEmpty = true;
  #rate: number | null = null;
  #ratedAt = 0;

  constructor(now: number) {
    this.#since = now;
  }

  left(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Nothing waits any more: what leaves in this stretch says nothing of what could. */
  emptied(): void {
    this.#wasEmpty = true;
  }

  /** Bits per second; null while the path takes what it is given. */
  rate(now: number): number | null {
    const passed = now - this.#since;
    if (passed >= stretchMs) {
      if (!this.#wasEmpty && passed < 2 * stretchMs) {
        this.#rate = (this.#bytes * 8000) / passed;
        this.#ratedAt = now;
      }
      this.#since = now;
      this.#bytes = 0;
      this.#wasEmpty = false;
    }
    return now - this.#ratedAt < believedMs ? this.#rate : null;
  }
}
