/** Packets under way, by the time at which they arrive: a binary heap over slots that are used again. */

/** The largest packet that a slot holds: the MTU of the devices with room to spare. */
export const slotBytes = 2048;

export class Departures {
  readonly #slots: Uint8Array[] = [];
  readonly #free: number[] = [];
  // A heap of parallel arrays; equal times leave in the order in which they came.
  readonly #due: number[] = [];
  readonly #order: number[] = [];
  readonly #slot: number[] = [];
  readonly #length: number[] = [];
  #next = 0;

  get size(): number {
    return this.#due.length;
  }

  /** When the first one is due, in ms; Infinity without any. */
  get firstDue(): number {
    return this.#due[0] ?? Infinity;
  }

  /** The bytes and length of the first one, valid until {@link drop}. */
  first(): { readonly bytes: Uint8Array; readonly length: number } | null {
    const slot = this.#slot[0];
    const bytes = slot === undefined ? undefined : this.#slots[slot];
    return bytes === undefined ? null : { bytes, length: this.#length[0] ?? 0 };
  }

  /** Copies a packet of at most {@link slotBytes}. */
  add(due: number, packet: Uint8Array, length: number): void {
    const slot = this.#free.pop() ?? this.#slots.push(new Uint8Array(new ArrayBuffer(slotBytes))) - 1;
    this.#slots[slot]?.set(packet.subarray(0, length));
    this.#due.push(due);
    this.#order.push(this.#next++);
    this.#slot.push(slot);
    this.#length.push(length);
    for (let at = this.size - 1; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Removes the first one. */
  drop(): void {
    const last = this.size - 1;
    if (last < 0) return;
    this.#swap(0, last);
    this.#due.pop();
    this.#order.pop();
    this.#length.pop();
    const slot = this.#slot.pop();
    if (slot !== undefined) this.#free.push(slot);
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      if (left >= last) break;
      const smaller = left + 1 < last && this.#isBefore(left + 1, left) ? left + 1 : left;
      if (!this.#isBefore(smaller, at)) break;
      this.#swap(smaller, at);
      at = smaller;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const dueA = this.#due[a] ?? 0;
    const dueB = this.#due[b] ?? 0;
    return dueA === dueB ? (this.#order[a] ?? 0) < (this.#order[b] ?? 0) : dueA < dueB;
  }

  #swap(a: number, b: number): void {
    swap(this.#due, a, b);
    swap(this.#order, a, b);
    swap(this.#slot, a, b);
    swap(this.#length, a, b);
  }
}

function swap(list: number[], a: number, b: number): void {
  const kept = list[a] ?? 0;
  list[a] = list[b] ?? 0;
  list[b] = kept;
}
