/** Finds what belongs to an address and port, without making a key per look-up. */
export interface Addressed {
  readonly address: string;
  readonly port: number;
}

export class AddressTable<T extends Addressed> {
  readonly #byPort = new Map<number, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find(address: string, port: number): T | null {
    const entries = this.#byPort.get(port);
    if (entries === undefined) return null;
    for (const entry of entries) if (entry.address === address) return entry;
    return null;
  }

  /** Replaces an entry of the same address and port. */
  add(entry: T): void {
    this.remove(entry.address, entry.port);
    const entries = this.#byPort.get(entry.port);
    if (entries === undefined) this.#byPort.set(entry.port, [entry]);
    else entries.push(entry);
    this.#size++;
  }

  remove(address: string, port: number): void {
    const entries = this.#byPort.get(port);
    const index = entries?.findIndex((entry) => entry.address === address) ?? -1;
    if (entries === undefined || index === -1) return;
    entries.splice(index, 1);
    if (entries.length === 0) this.#byPort.delete(port);
    this.#size--;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const entries of this.#byPort.values()) yield* entries;
  }
}
