/** The requests of a client that are on their way, by number, oldest first. */
import type { BodyReader } from './body-reader.ts';
import type { RequestKind } from './client-types.ts';
import type { ExchangeCarrier } from './exchange-server.ts';

export interface Pending {
  readonly kind: RequestKind;
  readonly sentAt: number;
  readonly reader: BodyReader;
  /** Of the request's body. */
  readonly bytes: number;
  /** When it is given up. */
  deadline: number;
  /** When the latest part of its answer came; at first, when it was sent. */
  heardAt: number;
}

export class PendingExchanges {
  readonly #carrier: ExchangeCarrier;
  readonly #byNumber = new Map<number, Pending>();

  constructor(carrier: ExchangeCarrier) {
    this.#carrier = carrier;
  }

  get(exchange: number): Pending | undefined {
    return this.#byNumber.get(exchange);
  }

  has(exchange: number): boolean {
    return this.#byNumber.has(exchange);
  }

  add(exchange: number, pending: Pending): void {
    this.#byNumber.set(exchange, pending);
  }

  delete(exchange: number): void {
    this.#byNumber.delete(exchange);
  }

  /** Empties it, and returns the numbers. */
  clear(): readonly number[] {
    const numbers = [...this.#byNumber.keys()];
    this.#byNumber.clear();
    return numbers;
  }

  count(kind: RequestKind): number {
    let count = 0;
    for (const pending of this.#byNumber.values()) if (pending.kind === kind) count++;
    return count;
  }

  /** The oldest one whose answer may bring frames; null when there is none. */
  oldestBringing(): readonly [number, Pending] | null {
    for (const entry of this.#byNumber) {
      const { kind } = entry[1];
      const brings = kind === 'poll' || kind === 'download' || (kind === 'post' && this.#carrier === 'long-poll');
      if (brings) return entry;
    }
    return null;
  }

  nextDeadline(): number {
    let at = Infinity;
    for (const { deadline } of this.#byNumber.values()) at = Math.min(at, deadline);
    return at;
  }

  /** Those whose deadline is over. */
  overdue(now: number): readonly (readonly [number, Pending])[] {
    return [...this.#byNumber].filter(([, { deadline }]) => now >= deadline);
  }
}
