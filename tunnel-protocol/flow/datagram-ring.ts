/** A first-in first-out queue of datagrams with what is known of each. Allocates only when it grows. */
import type { SendMeta } from '../path.ts';

const smallest = 8;
/** A ring that grew larger than this in a bad moment is given back once it is empty. */
const keptCapacity = 256;

export class DatagramRing {
  #datagrams: (Uint8Array | null)[] = [];
  #metas: (SendMeta | null)[] = [];
  #pushedAt: number[] = [];
  #mask = -1;
  #head = 0;
  #count = 0;
  #bytes = 0;

  get count(): number {
    return this.#count;
  }

  /** Of the datagrams alone, without the lengths before them. */
  get bytes(): number {
    return this.#bytes;
  }

  push(datagram: Uint8Array, meta: SendMeta, now: number): void {
    if (this.#count > this.#mask) this.#grow();
    const at = (this.#head + this.#count) & this.#mask;
    this.#datagrams[at] = datagram;
    this.#metas[at] = meta;
    this.#pushedAt[at] = now;
    this.#count++;
    this.#bytes += datagram.length;
  }

  /** The oldest one; null when there is none. */
  get head(): Uint8Array | null {
    return this.#count === 0 ? null : (this.#datagrams[this.#head] as Uint8Array);
  }

  /** What is known of the oldest one. There must be one. */
  get headMeta(): SendMeta {
    return this.#metas[this.#head] as SendMeta;
  }

  get headPushedAt(): number {
    return this.#pushedAt[this.#head] as number;
  }

  /** Takes the oldest one out. There must be one. */
  shift(): void {
    const at = this.#head;
    this.#bytes -= (this.#datagrams[at] as Uint8Array).length;
    this.#datagrams[at] = null;
    this.#metas[at] = null;
    this.#count--;
    this.#head = (at + 1) & this.#mask;
    if (this.#count === 0 && this.#mask >= keptCapacity) this.#reset(0);
  }

  #grow(): void {
    const capacity = Math.max(smallest, (this.#mask + 1) * 2);
    const [datagrams, metas, pushedAt] = [this.#datagrams, this.#metas, this.#pushedAt];
    const [head, mask] = [this.#head, this.#mask];
    this.#reset(capacity);
    for (let i = 0; i < this.#count; i++) {
      const from = (head + i) & mask;
      this.#datagrams[i] = datagrams[from] ?? null;
      this.#metas[i] = metas[from] ?? null;
      this.#pushedAt[i] = pushedAt[from] ?? 0;
    }
  }

  #reset(capacity: number): void {
    this.#datagrams = new Array<Uint8Array | null>(capacity).fill(null);
    this.#metas = new Array<SendMeta | null>(capacity).fill(null);
    // With a fraction from the start, or times would be boxed one by one later.
    this.#pushedAt = new Array<number>(capacity).fill(0.5);
    this.#mask = capacity - 1;
    this.#head = 0;
  }
}
