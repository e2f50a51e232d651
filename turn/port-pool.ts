/** Relay ports of one family: chosen at random, so that nobody can guess the next one (CVE-2025-69217). */
import { u32 } from '../tunnel-protocol/index.ts';

export class PortPool {
  readonly #min: number;
  readonly #count: number;
  readonly #random: (length: number) => Uint8Array;
  readonly #used = new Set<number>();

  /** Inclusive range. */
  constructor(min: number, max: number, random: (length: number) => Uint8Array) {
    this.#min = min;
    this.#count = max - min + 1;
    this.#random = random;
  }

  get used(): number {
    return this.#used.size;
  }

  /** A free port, or null when all are taken. */
  take(even: boolean): number | null {
    const first = u32(this.#random(4), 0) % this.#count;
    for (let tried = 0; tried < this.#count; tried++) {
      const port = this.#min + ((first + tried) % this.#count);
      if (this.#used.has(port) || (even && port % 2 !== 0)) continue;
      this.#used.add(port);
      return port;
    }
    return null;
  }

  release(port: number): void {
    this.#used.delete(port);
  }
}
