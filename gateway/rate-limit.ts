/** Token buckets per source address, in a table of fixed size: a flood from forged sources takes no memory. */

export interface RateLimit {
  /** Takes that are allowed at once. */
  readonly burst: number;
  readonly perSecond: number;
}

const tableSize = 16_384;

/**
 * Sources that share a slot of the table share a bucket; the seed keeps strangers from choosing whose. An IPv6 source
 * is its /64, or a part of it, because that is what one subscriber has.
 */
export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #seed: number;
  readonly #tokens: Float64Array;
  readonly #updatedMs: Float64Array;

  /** `seed` is a random whole number. */
  constructor(limit: RateLimit, seed: number) {
    this.#limit = limit;
    this.#seed = seed;
    this.#tokens = new Float64Array(tableSize).fill(limit.burst);
    this.#updatedMs = new Float64Array(tableSize);
  }

  /** True if one more is allowed. `nowMs` must not go backwards. The address is canonical. */
  take(address: string, nowMs: number): boolean {
    const slot = slotOf(address, this.#seed);
    const elapsedMs = nowMs - (this.#updatedMs[slot] as number);
    const refilled = (this.#tokens[slot] as number) + (elapsedMs * this.#limit.perSecond) / 1000;
    const tokens = Math.min(this.#limit.burst, refilled);
    this.#updatedMs[slot] = nowMs;
    this.#tokens[slot] = tokens >= 1 ? tokens - 1 : tokens;
    return tokens >= 1;
  }
}

/** FNV-1a over the text, of IPv6 up to the fourth group or to the run of zeros. */
function slotOf(address: string, seed: number): number {
  let hash = (0x811c9dc5 ^ seed) | 0;
  let colons = 0;
  for (let i = 0; i < address.length; i++) {
    const code = address.charCodeAt(i);
    if (code === 58) {
      colons++;
      if (colons === 4 || address.charCodeAt(i + 1) === 58) break;
    }
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  hash ^= hash >>> 15;
  return (Math.imul(hash, 0x2c1b3c6d) >>> 18) & (tableSize - 1);
}
