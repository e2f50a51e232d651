/** A larger gap is no loss that could be mended packet by packet. */
export const maxGap = 100;
const maxMissing = 200;
/** How often one packet is asked for. */
export const maxAsks = 5;
/** How long an answer is waited for, in ms. */
export const askAgainMs = 100;

interface Missing {
  asks: number;
  askedAt: number;
}

/** Which packets of one incoming stream are missing, and when to ask for them again. */
export class MissingPackets {
  readonly #missing = new Map<number, Missing>();
  /** -1 before the first packet. */
  #highest = -1;

  get size(): number {
    return this.#missing.size;
  }

  /** It was missing, and has been repeated. False when it was not. */
  repaired(sequenceNumber: number): boolean {
    return this.#missing.delete(sequenceNumber);
  }

  /**
   * A packet came. True when it left a gap, so that {@link due} has something to tell; `lost`: one too large to mend;
   * `late`: others that were sent after it came before it.
   */
  received(sequenceNumber: number): boolean | 'lost' | 'late' {
    if (this.#highest < 0) {
      this.#highest = sequenceNumber;
      return false;
    }
    const ahead = (sequenceNumber - this.#highest) & 0xffff;
    if (ahead === 1) {
      this.#highest = sequenceNumber;
      return false;
    }
    // Late, or once more.
    if (ahead === 0 || ahead > 0x8000) {
      if (this.#missing.size > 0) this.#missing.delete(sequenceNumber);
      return 'late';
    }
    const first = this.#highest + 1;
    this.#highest = sequenceNumber;
    if (ahead > maxGap || this.#missing.size + ahead > maxMissing) {
      this.#missing.clear();
      return 'lost';
    }
    for (let i = 0; i < ahead - 1; i++) this.#missing.set((first + i) & 0xffff, { asks: 0, askedAt: -Infinity });
    return true;
  }

  /** What to ask for now, oldest first; it counts as asked for. What was asked for in vain too often is given up. */
  due(now: number): readonly number[] {
    if (this.#missing.size === 0) return [];
    const due: number[] = [];
    for (const [sequenceNumber, missing] of this.#missing) {
      if (now - missing.askedAt < askAgainMs) continue;
      if (missing.asks === maxAsks) {
        this.#missing.delete(sequenceNumber);
        continue;
      }
      missing.asks++;
      missing.askedAt = now;
      due.push(sequenceNumber);
    }
    return due;
  }
}
