/**
 * How many datagrams strangers may make us send: a token bucket per network and one for all, then silence. The table
 * has a fixed size, so a flood from forged sources takes no memory; who shares a slot of it shares a bucket, and the
 * seed keeps strangers from choosing whose.
 */
import { addressPrefix } from './address-prefix.ts';

const slots = 8192;
/** Seconds' worth that may come at once. */
const burst = 2;

export class ReplyLimiter {
  readonly #perPrefix: number;
  readonly #seed: number;
  /** The last slot is the bucket for all. */
  readonly #tokens: Float64Array;
  readonly #filledAt: Float64Array;
  readonly #forAll: number;

  /** Rates per second; `seed` is a random whole number. */
  constructor(perPrefix: number, forAll: number, seed: number, nowMs: number) {
    this.#perPrefix = perPrefix;
    this.#forAll = forAll;
    this.#seed = seed;
    this.#tokens = new Float64Array(slots + 1).fill(perPrefix * burst);
    this.#tokens[slots] = forAll * burst;
    this.#filledAt = new Float64Array(slots + 1).fill(nowMs);
  }

  /** True if one more answer to this address is allowed. */
  take(address: string, nowMs: number): boolean {
    const slot = hash(addressPrefix(address, 24, 56), this.#seed) % slots;
    return this.#take(slot, this.#perPrefix, nowMs) && this.#take(slots, this.#forAll, nowMs);
  }

  #take(slot: number, perSecond: number, nowMs: number): boolean {
    const elapsedMs = nowMs - (this.#filledAt[slot] as number);
    const tokens = Math.min(perSecond * burst, (this.#tokens[slot] as number) + (elapsedMs * perSecond) / 1000);
    this.#filledAt[slot] = nowMs;
    this.#tokens[slot] = tokens >= 1 ? tokens - 1 : tokens;
    return tokens >= 1;
  }
}

/** FNV-1a with a final mix. */
function hash(text: string, seed: number): number {
  let value = (0x811c9dc5 ^ seed) | 0;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value ^= value >>> 15;
  return Math.imul(value, 0x2c1b3c6d) >>> 8;
}
