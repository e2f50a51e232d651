/** How much arrives, over the last half second of the receiver's clock. */

const windowMs = 500;
/** Less time tells nothing. */
const minMs = 150;

export class DeliveredRate {
  readonly #times: number[] = [];
  readonly #bytes: number[] = [];
  #sum = 0;
  #known: number | null = null;

  /** One packet that came at `arrivedAt` ms. */
  delivered(bytes: number, arrivedAt: number): void {
    this.#times.push(arrivedAt);
    this.#bytes.push(bytes);
    this.#sum += bytes;
    let old = 0;
    while (old < this.#times.length && (this.#times[old] as number) < arrivedAt - windowMs) {
      this.#sum -= this.#bytes[old] as number;
      old++;
    }
    if (old === 0) return;
    this.#times.splice(0, old);
    this.#bytes.splice(0, old);
  }

  /** In bit/s, what was known last where too little has come since; null before that. */
  get bitrate(): number | null {
    const first = this.#times[0];
    const last = this.#times.at(-1);
    if (first === undefined || last === undefined || last - first < minMs) return this.#known;
    // The first packet's bytes came before the time that is counted.
    this.#known = ((this.#sum - (this.#bytes[0] as number)) * 8000) / (last - first);
    return this.#known;
  }
}
