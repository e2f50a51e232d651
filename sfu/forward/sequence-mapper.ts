/** How far behind its source's newest packet a packet may be and still be forwarded. A power of two. */
const windowSize = 1024;
const mask = windowSize - 1;

/**
 * Numbers the packets of one outgoing stream. A source's packets keep their distances, so what was lost before is a gap
 * behind too; only packets that are swallowed close their gap. Numbers are extended: the caller cuts them to 16 bits.
 */
export class SequenceMapper {
  /** The highest number given out. */
  highest: number;
  /** The source's first and newest packet, extended. */
  #first = 0;
  #newest = 0;
  /** Source number minus outgoing number, for packets newer than the newest. */
  #shift = 0;
  /** One bit for each of the source's last `windowSize` packets, by number modulo that. */
  readonly #seen = new Uint32Array(windowSize / 32);
  readonly #swallowed = new Uint32Array(windowSize / 32);

  /** The first packet will have the number `first`. */
  constructor(first: number) {
    this.highest = first - 1;
  }

  /** A new source begins with this packet, which {@link map} takes next. */
  restart(sequenceNumber: number): void {
    // Away from zero, so that nothing ever is negative.
    this.#first = 0x1_0000 + sequenceNumber;
    this.#newest = this.#first - 1;
    this.#shift = this.#first - (this.highest + 1);
    this.#seen.fill(0);
    this.#swallowed.fill(0);
  }

  /** The packet's number; -1 for one that came already, is too old, or is older than the source's first. */
  map(sequenceNumber: number): number {
    const extended = this.#extend(sequenceNumber);
    if (!this.#take(extended)) return -1;
    const number = this.#number(extended);
    if (number > this.highest) this.highest = number;
    return number;
  }

  /**
   * This packet is not to be forwarded. Returns -1 when its gap is closed. When newer packets went out already, a gap
   * was left for it, and the result is the number of that gap: something must fill it, or the receiver asks for it.
   */
  swallow(sequenceNumber: number): number {
    const extended = this.#extend(sequenceNumber);
    if (!this.#take(extended)) return -1;
    const number = this.#number(extended);
    if (number <= this.highest) return number;
    setBit(this.#swallowed, extended & mask);
    this.#shift++;
    return -1;
  }

  #number(extended: number): number {
    let number = extended - this.#shift;
    for (let later = extended + 1; later <= this.#newest; later++) number += bit(this.#swallowed, later & mask);
    return number;
  }

  #extend(sequenceNumber: number): number {
    // The signed distance to the newest packet, in 16 bits.
    return this.#newest + (((sequenceNumber - this.#newest) << 16) >> 16);
  }

  #take(extended: number): boolean {
    if (extended < this.#first || extended <= this.#newest - windowSize) return false;
    if (extended > this.#newest) {
      const from = Math.max(this.#newest + 1, extended - windowSize + 1);
      for (let number = from; number <= extended; number++) {
        clearBit(this.#seen, number & mask);
        clearBit(this.#swallowed, number & mask);
      }
      this.#newest = extended;
    } else if (bit(this.#seen, extended & mask) === 1) {
      return false;
    }
    setBit(this.#seen, extended & mask);
    return true;
  }
}

function bit(bits: Uint32Array, at: number): number {
  return ((bits[at >>> 5] as number) >>> (at & 31)) & 1;
}

function setBit(bits: Uint32Array, at: number): void {
  bits[at >>> 5] = (bits[at >>> 5] as number) | (1 << (at & 31));
}

function clearBit(bits: Uint32Array, at: number): void {
  bits[at >>> 5] = (bits[at >>> 5] as number) & ~(1 << (at & 31));
}
