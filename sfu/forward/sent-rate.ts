/** How much is sent, averaged over about a second. */

const spanMs = 1000;

export class SentRate {
  #bytes = 0;
  #perMs = 0;
  #since = 0;

  sent(bytes: number): void {
    this.#bytes += bytes;
  }

  get bitsPerSecond(): number {
    return this.#perMs * 8000;
  }

  /** What was before says nothing any more. */
  restart(now: number): void {
    this.#bytes = 0;
    this.#perMs = 0;
    this.#since = now;
  }

  /** Call every 100 ms or so. */
  tick(now: number): void {
    const passed = now - this.#since;
    if (passed <= 0) return;
    const weight = Math.min(1, passed / spanMs);
    this.#perMs += weight * (this.#bytes / passed - this.#perMs);
    this.#bytes = 0;
    this.#since = now;
  }
}
