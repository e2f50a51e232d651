import type { Rung } from '../../tunnel-protocol/index.ts';
import { maxRtoMs } from './transaction.ts';
import type { Generation } from './check-request.ts';
import type { Transaction, TransactionPurpose } from './transaction.ts';
import type { IcePathState } from './types.ts';

/** RFC 7675 section 5.1: consent lasts 30 s from the last answer. */
export const consentMs = 30_000;
/** RFC 7675 section 5.1: consent checks every 5 s, each interval randomised by 0.8–1.2. */
const consentIntervalMs = 5_000;

/**
 * First RTO. RFC 8445 section 14.3 proposes 500 ms; half of it lets a join survive a lost first check unnoticed, at
 * the price of one 100-byte repetition where the round trip is longer. Tunnels and TCP lose nothing by themselves, and
 * what repeats there queues up behind a stall.
 */
const datagramRtoMs = 250;
const streamRtoMs = 1000;
const minRtoMs = 100;

/** One path's state in the agent: what was answered when, what waits for an answer. */
export class CheckedPath {
  readonly id: string;
  readonly kind: Rung;
  state: IcePathState = 'checking';
  /** The generation whose initial check was sent; null when that check is still to be sent. */
  checked: Generation | null = null;
  /** The last generation in which the path was reported as validated. */
  validated: Generation | null = null;
  readonly transactions: Transaction[] = [];
  #rtoMs: number;
  #answeredAt = 0;
  #consentDueAt = Infinity;

  constructor(id: string, kind: Rung) {
    this.id = id;
    this.kind = kind;
    this.#rtoMs = kind === 'udp' || kind === 'turn-udp' ? datagramRtoMs : streamRtoMs;
  }

  get rtoMs(): number {
    return this.#rtoMs;
  }

  get consentDueAt(): number {
    return this.state === 'valid' ? this.#consentDueAt : Infinity;
  }

  get consentLostAt(): number {
    return this.state === 'valid' ? this.#answeredAt + consentMs : Infinity;
  }

  /** An authenticated success: consent is renewed. `jitter` in [0, 1) spreads the consent checks. */
  noteAnswer(now: number, jitter: number): void {
    this.#answeredAt = now;
    if (this.state === 'valid') return;
    this.state = 'valid';
    this.scheduleConsent(now, jitter);
  }

  scheduleConsent(now: number, jitter: number): void {
    this.#consentDueAt = now + consentIntervalMs * (0.8 + 0.4 * jitter);
  }

  noteRoundTrip(ms: number): void {
    this.#rtoMs = Math.min(Math.max(minRtoMs, 2 * ms), maxRtoMs);
  }

  find(transactionId: Uint8Array): Transaction | null {
    return this.transactions.find((transaction) => transaction.matches(transactionId)) ?? null;
  }

  drop(transaction: Transaction): void {
    const index = this.transactions.indexOf(transaction);
    if (index !== -1) this.transactions.splice(index, 1);
  }

  /** True when there was one. */
  dropAll(purpose: TransactionPurpose): boolean {
    const before = this.transactions.length;
    for (const transaction of this.transactions.slice()) if (transaction.purpose === purpose) this.drop(transaction);
    return this.transactions.length < before;
  }

  fail(): void {
    this.state = 'failed';
    this.transactions.length = 0;
  }

  /** For a restart: checked again from the start; media and consent of a valid path go on. */
  recheck(): void {
    if (this.state === 'failed') this.state = 'checking';
    this.checked = null;
    this.dropAll('check');
  }

  /** When the next of the above wants attention. */
  nextTimeout(): number {
    let due = Math.min(this.consentDueAt, this.consentLostAt);
    for (const transaction of this.transactions) due = Math.min(due, transaction.dueAt);
    return due;
  }
}
