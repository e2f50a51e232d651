import { equalBytes } from '../../tunnel-protocol/index.ts';
import type { Generation } from './check-request.ts';

/** RFC 8489 section 6.2.1: a request is sent up to Rc = 7 times. */
const maxSends = 7;
/** Doubling stops here, so that a path that opens late is found soon. */
export const maxRtoMs = 2000;

export type TransactionPurpose = 'check' | 'consent' | 'nomination';

/** One request that waits for its answer. Consent checks are sent once (RFC 7675 section 5.1), others repeated. */
export class Transaction {
  readonly purpose: TransactionPurpose;
  readonly id: Uint8Array;
  readonly generation: Generation;
  readonly #datagram: Uint8Array;
  readonly #sentAt: number;
  #sends = 1;
  #rtoMs: number;
  #dueAt: number;

  /** `datagram` was just sent, as a copy. `lifetimeMs` is the first RTO, or for consent checks the whole wait. */
  constructor(
    purpose: TransactionPurpose,
    id: Uint8Array,
    generation: Generation,
    datagram: Uint8Array,
    lifetimeMs: number,
    now: number,
  ) {
    this.purpose = purpose;
    this.id = id;
    this.generation = generation;
    this.#datagram = datagram;
    this.#sentAt = now;
    this.#rtoMs = lifetimeMs;
    this.#dueAt = now + lifetimeMs;
  }

  /** When to repeat it or give it up. */
  get dueAt(): number {
    return this.#dueAt;
  }

  matches(transactionId: Uint8Array): boolean {
    return equalBytes(this.id, transactionId);
  }

  /** Null when it was sent more than once: which one was answered is then unknown (Karn). */
  roundTripMs(now: number): number | null {
    return this.#sends === 1 ? now - this.#sentAt : null;
  }

  /** The request to send again, or null when it is given up. To be called when due. */
  repeat(now: number): Uint8Array | null {
    if (this.purpose === 'consent' || this.#sends === maxSends) return null;
    this.#sends++;
    this.#rtoMs = Math.min(this.#rtoMs * 2, maxRtoMs);
    this.#dueAt = now + this.#rtoMs;
    return this.#datagram.slice();
  }
}
