/**
 * The proof that a path can carry media, made before any goes on it: Binding requests of the size of a large media packet,
 * answered at the same size, for some seconds and at a steady pace. One lucky reply proves nothing, and an answer to a small
 * request proves nothing of large packets, nor of the way back. Sans-I/O; the times are monotonic ms.
 */
import { equalBytes, putU32, u32 } from '../../tunnel-protocol/index.ts';

export interface ProofPolicy {
  /** Of each request and of each answer, as UDP payload. A multiple of four. */
  readonly datagramBytes: number;
  readonly perSecond: number;
  readonly durationMs: number;
  /** The share of requests that may stay without an answer of full size. */
  readonly maxLoss: number;
  /** What is answered later than this counts as lost: media would be of no use either. */
  readonly lostAfterMs: number;
}

export const defaultProof: ProofPolicy = {
  datagramBytes: 1200,
  perSecond: 50,
  durationMs: 3_000,
  maxLoss: 0.02,
  lostAfterMs: 1_000,
};

export interface ProofResult {
  readonly proven: boolean;
  readonly sent: number;
  /** Not answered, not in time, or not at full size. */
  readonly lost: number;
  /** From the first request to the verdict. */
  readonly ms: number;
  /** The median of the answered ones; null when none was. */
  readonly roundTripMs: number | null;
}

const sequenceAt = 8;

export class PathProof {
  readonly #policy: ProofPolicy;
  readonly #total: number;
  readonly #maxLost: number;
  readonly #startedAt: number;
  /** The first 8 bytes of each transaction id; the number of the request follows. */
  readonly #prefix: Uint8Array;
  readonly #sentAt: number[] = [];
  readonly #settled: boolean[] = [];
  readonly #roundTrips: number[] = [];
  /** All below are settled. */
  #oldest = 0;
  #lost = 0;

  /** `random`: 8 bytes nobody can guess. */
  constructor(policy: ProofPolicy, random: Uint8Array, now: number) {
    this.#policy = policy;
    this.#total = Math.round((policy.perSecond * policy.durationMs) / 1000);
    this.#maxLost = Math.floor(this.#total * policy.maxLoss);
    this.#prefix = random;
    this.#startedAt = now;
  }

  /** The transaction id of the next request, which is sent now; null when none is due. */
  next(now: number): Uint8Array | null {
    if (now < this.#nextAt) return null;
    const id = new Uint8Array(12);
    id.set(this.#prefix);
    putU32(id, sequenceAt, this.#sentAt.length);
    this.#sentAt.push(now);
    this.#settled.push(false);
    return id;
  }

  /** Whether an answer is one to this proof, and still awaited. */
  awaits(transactionId: Uint8Array): boolean {
    const number = u32(transactionId, sequenceAt);
    return this.#settled[number] === false && equalBytes(transactionId.subarray(0, sequenceAt), this.#prefix);
  }

  /** An authentic answer that is awaited, of so many bytes. */
  answered(transactionId: Uint8Array, bytes: number, now: number): void {
    const number = u32(transactionId, sequenceAt);
    const ms = now - (this.#sentAt[number] as number);
    this.#settled[number] = true;
    if (bytes < this.#policy.datagramBytes || ms > this.#policy.lostAfterMs) this.#lost += 1;
    else this.#roundTrips.push(ms);
  }

  /** As soon as nothing can change it; null until then. */
  verdict(now: number): ProofResult | null {
    this.#expire(now);
    const sent = this.#sentAt.length;
    const proven = sent === this.#total && this.#roundTrips.length >= this.#total - this.#maxLost;
    if (!proven && this.#lost <= this.#maxLost) return null;
    const sorted = this.#roundTrips.slice().sort((a, b) => a - b);
    const roundTripMs = sorted[sorted.length >> 1] ?? null;
    return { proven, sent, lost: this.#lost, ms: now - this.#startedAt, roundTripMs };
  }

  /** When to ask `next` and `verdict` again. */
  nextTimeout(): number {
    return Math.min(this.#nextAt, this.#expiresAt);
  }

  /** An even pace from the beginning, but no burst to make up for a time in which nobody asked. Infinity after the last. */
  get #nextAt(): number {
    const sent = this.#sentAt.length;
    if (sent >= this.#total) return Infinity;
    const gapMs = 1000 / this.#policy.perSecond;
    return Math.max(this.#startedAt + sent * gapMs, (this.#sentAt[sent - 1] ?? -Infinity) + gapMs / 2);
  }

  get #expiresAt(): number {
    return (this.#sentAt[this.#oldest] ?? Infinity) + this.#policy.lostAfterMs;
  }

  #expire(now: number): void {
    for (; this.#oldest < this.#sentAt.length; this.#oldest++) {
      if (this.#settled[this.#oldest] === true) continue;
      if (now < this.#expiresAt) return;
      this.#settled[this.#oldest] = true;
      this.#lost += 1;
    }
  }
}
