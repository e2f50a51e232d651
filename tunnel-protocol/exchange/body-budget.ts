/**
 * How much one body may bring: so much that it is through within about a tenth of a second. On a narrow path more would
 * only grow old behind its own head; in the sender's queue it can still be overtaken or dropped.
 */
import { exchangeLimits } from './limits.ts';

const toleratedMs = 100;
/** Each measurement lets the least time grow by so much, in case the path has become a longer one. */
const growth = 1.005;

export class BodyBudget {
  #bytes: number = exchangeLimits.firstBodyBytes;
  #leastMs = Infinity;

  get bytes(): number {
    return this.#bytes;
  }

  /** A body of so many bytes took so long, there and back. */
  measured(bytes: number, tookMs: number): void {
    this.#leastMs = Math.min(tookMs, this.#leastMs * growth);
    // A body that was not filled says nothing of the path.
    if (bytes * 2 < this.#bytes) return;
    const { leastBodyBytes, maxBodyBytes } = exchangeLimits;
    if (tookMs > this.#leastMs + toleratedMs) this.#bytes = Math.max(leastBodyBytes, Math.floor(this.#bytes / 2));
    else this.#bytes = Math.min(maxBodyBytes, Math.ceil(this.#bytes * 1.25));
  }
}
