/**
 * Bytes that are put together piece by piece, in memory that is used again. However small the pieces are that somebody sends,
 * they cost no more than their bytes.
 */

/** What a buffer keeps between two frames; one that had to be larger is let go. */
const keptBytes = 256 * 1024;
const firstBytes = 4 * 1024;

export class FrameBuffer {
  length = 0;
  readonly #maxBytes: number;
  #bytes = new Uint8Array(0);

  /** `maxBytes`: it holds no more. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** How much memory is held. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** False, and nothing is added, when there is no room for it. */
  append(piece: Uint8Array): boolean {
    const end = this.length + piece.length;
    if (!this.#reserve(end)) return false;
    this.#bytes.set(piece, this.length);
    this.length = end;
    return true;
  }

  appendByte(value: number): boolean {
    if (!this.#reserve(this.length + 1)) return false;
    this.#bytes[this.length++] = value;
    return true;
  }

  /** What is in it; holds until more is added. */
  view(from = 0): Uint8Array {
    return this.#bytes.subarray(from, this.length);
  }

  clear(): void {
    this.length = 0;
    if (this.#bytes.length > keptBytes) this.#bytes = new Uint8Array(0);
  }

  /** A copy of what is in it; then it is empty. */
  take(): Uint8Array {
    const whole = this.#bytes.slice(0, this.length);
    this.clear();
    return whole;
  }

  #reserve(bytes: number): boolean {
    if (bytes > this.#maxBytes) return false;
    if (bytes <= this.#bytes.length) return true;
    const larger = new Uint8Array(Math.min(this.#maxBytes, Math.max(firstBytes, bytes, this.#bytes.length * 2)));
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
    return true;
  }
}
