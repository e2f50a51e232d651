/** Where the packets of one recorded track wait between two ticks: a slot's output that leads to no wire. */
import type { SlotOutput } from '../forward/index.ts';

/** No more of one track come between two ticks, even where this process was held up for a second or two. */
const maxPackets = 2048;
const maxBytes = 2 * 1024 * 1024;

export class Tap implements SlotOutput {
  /** Nothing is lost on the way, so nothing need be kept for repetitions, and no room be left for stamps. */
  readonly reliable = true;
  readonly deliveryRate = null;
  bytes: Uint8Array;
  at = 0;
  /** Packets that found no room: whoever was to take them was held up for too long. */
  overflows = 0;
  #opened = 0;
  #count = 0;
  readonly #ends = new Uint32Array(maxPackets);

  /** `bytes` is what usually comes between two ticks; it grows with what does come, and no packet needs memory of its own. */
  constructor(bytes: number) {
    this.bytes = new Uint8Array(bytes);
  }

  open(length: number): boolean {
    const end = this.at + length;
    if (end > maxBytes || this.#count === maxPackets) {
      this.overflows++;
      return false;
    }
    if (end > this.bytes.length) this.#grow(end);
    this.#opened = length;
    return true;
  }

  commit(): boolean {
    this.at += this.#opened;
    this.#ends[this.#count++] = this.at;
    return true;
  }

  /** Gives each packet in the order in which they came, and forgets it. A view holds until `take` returns. */
  drain(take: (packet: Uint8Array) => void): void {
    let from = 0;
    for (let i = 0; i < this.#count; i++) {
      const end = this.#ends[i] as number;
      take(this.bytes.subarray(from, end));
      from = end;
    }
    this.#count = 0;
    this.at = 0;
  }

  #grow(needed: number): void {
    const larger = new Uint8Array(Math.min(maxBytes, Math.max(needed, this.bytes.length * 2)));
    larger.set(this.bytes.subarray(0, this.at));
    this.bytes = larger;
  }
}
