/** Puts a body together whose parts may be a byte each: one piece of memory that grows with what came. */
const smallestBytes = 1024;

export class BodyCollector {
  #memory = new Uint8Array(smallestBytes);
  #length = 0;

  /** Valid until the next `add`. */
  get bytes(): Uint8Array {
    return this.#memory.subarray(0, this.#length);
  }

  /** Copies the bytes. False, and nothing changed, when there would be more than `limit`. */
  add(bytes: Uint8Array, limit: number): boolean {
    const length = this.#length + bytes.length;
    if (length > limit) return false;
    if (length > this.#memory.length) {
      const grown = new Uint8Array(Math.max(length, Math.min(limit, 2 * this.#memory.length)));
      grown.set(this.bytes);
      this.#memory = grown;
    }
    this.#memory.set(bytes, this.#length);
    this.#length = length;
    return true;
  }
}
