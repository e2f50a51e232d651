import { equalBytes } from '../../tunnel-protocol/index.ts';
import type { FillRequest } from './long-term-credentials.ts';

/** RFC 8489 section 6.2.1: first wait, sendings, and the last wait in first waits. */
const firstRtoMs = 500;
const maxSends = 7;
const lastWaits = 16;
/** Section 6.2.2: how long a request on a connection waits for its answer. */
const reliableWaitMs = 39_500;

/** What is asked for: at most one of each is under way. */
export type TurnPurpose = 'allocate' | 'refresh' | 'bind' | 'permit';

/** One request that waits for its answer. */
export class TurnTransaction {
  readonly purpose: TurnPurpose;
  readonly method: number;
  readonly fill: FillRequest;
  readonly id: Uint8Array;
  /** How often the same thing was asked for before, for want of a good nonce. */
  readonly challenges: number;
  readonly #message: Uint8Array;
  readonly #reliable: boolean;
  #sends = 1;
  #rtoMs = firstRtoMs;
  #dueAt: number;

  /** `message` was just sent, as a copy. */
  constructor(
    request: Pick<TurnTransaction, 'purpose' | 'method' | 'fill' | 'id' | 'challenges'>,
    message: Uint8Array,
    reliable: boolean,
    now: number,
  ) {
    this.purpose = request.purpose;
    this.method = request.method;
    this.fill = request.fill;
    this.id = request.id;
    this.challenges = request.challenges;
    this.#message = message;
    this.#reliable = reliable;
    this.#dueAt = now + (reliable ? reliableWaitMs : firstRtoMs);
  }

  /** When to repeat it or give it up. */
  get dueAt(): number {
    return this.#dueAt;
  }

  isAnsweredBy(method: number, transactionId: Uint8Array): boolean {
    return this.method === method && equalBytes(this.id, transactionId);
  }

  /** The request to send again, or null when it is given up. To be called when due. */
  repeat(now: number): Uint8Array | null {
    if (this.#reliable || this.#sends === maxSends) return null;
    this.#sends++;
    this.#rtoMs *= 2;
    this.#dueAt = now + (this.#sends === maxSends ? lastWaits * firstRtoMs : this.#rtoMs);
    return this.#message.slice();
  }
}
