/** A sliding window over packet indices (RFC 3711 section 3.3.2). */
export const windowVerdict = { fresh: 0, seen: 1, tooOld: 2 } as const;
export type WindowVerdict = (typeof windowVerdict)[keyof typeof windowVerdict];

/** Remembers which of the newest `size` indices were marked. Indices are integers from 0 to 2^53 - 1. */
export class ReplayWindow {
  /** The highest index marked; -1 before the first. */
  highest = -1;
  readonly #size: number;
  /** Bit i of the ring stands for the only index of the window that is i modulo `size`. */
  readonly #bits: Uint32Array;

  /** `size` is a power of two, at least 32; throws RangeError otherwise. */
  constructor(size: number) {
    if (size < 32 || (size & (size - 1)) !== 0) throw new RangeError('a window size is a power of two, 32 or more');
    this.#size = size;
    this.#bits = new Uint32Array(size / 32);
  }

  check(index: number): WindowVerdict {
    if (index > this.highest) return windowVerdict.fresh;
    if (index <= this.highest - this.#size) return windowVerdict.tooOld;
    const bit = index & (this.#size - 1);
    return ((this.#bits[bit >>> 5] as number) >>> (bit & 31)) & 1 ? windowVerdict.seen : windowVerdict.fresh;
  }

  /** Call it for fresh indices alone, once the packet is authenticated. */
  mark(index: number): void {
    const ahead = index - this.highest;
    const mask = this.#size - 1;
    if (ahead >= this.#size) {
      this.#bits.fill(0);
    } else {
      for (let skipped = this.highest + 1; skipped < index; skipped++) this.#clear(skipped & mask);
    }
    if (ahead > 0) this.highest = index;
    const bit = index & mask;
    this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] as number) | (1 << (bit & 31));
  }

  #clear(bit: number): void {
    this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] as number) & ~(1 << (bit & 31));
  }
}
