import { u16 } from '../../tunnel-protocol/index.ts';

/** Older packets are of no use to a decoder any more, in ms. */
export const historyMs = 1000;
/** The same packet is not repeated again so soon: two requests for it crossed, in ms. */
export const repeatAfterMs = 20;
const firstRingBytes = 16_384;
const maxRingBytes = 524_288;

/**
 * The last packets of one stream, for those who ask for one again (RFC 4585 section 6.2.1). Their bytes are in one ring,
 * which grows until it holds what comes in {@link historyMs}.
 */
export class PacketHistory {
  #ring = new Uint8Array(firstRingBytes);
  #at = 0;
  /** How often the ring was begun anew, and when last. */
  #lap = 0;
  #lapBegan = -Infinity;
  #latest = -1;
  readonly #mask: number;
  /** Of each packet, by its number modulo the size: where it is, how long, of which lap; length 0: none. */
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  readonly #laps: Int32Array;
  /** When each was sent, or repeated, last. */
  readonly #sentAt: Float64Array;
  readonly #madeAt: Float64Array;

  /** `size` in packets, a power of two. */
  constructor(size: number) {
    this.#mask = size - 1;
    this.#starts = new Int32Array(size);
    this.#lengths = new Int32Array(size);
    this.#laps = new Int32Array(size);
    this.#sentAt = new Float64Array(size);
    this.#madeAt = new Float64Array(size);
  }

  /** Keeps a copy of a packet: its first `headBytes` stand in `bytes` at `at`, the others are `tail`. */
  put(bytes: Uint8Array, at: number, headBytes: number, tail: Uint8Array, now: number): void {
    const length = headBytes + tail.length;
    if (length > firstRingBytes) return;
    if (this.#at + length > this.#ring.length) this.#wrap(now);
    if (this.#lapBegan === -Infinity) this.#lapBegan = now;
    const ring = this.#ring;
    const start = this.#at;
    for (let i = 0; i < headBytes; i++) ring[start + i] = bytes[at + i] as number;
    ring.set(tail, start + headBytes);
    this.#at = start + length;
    const slot = u16(bytes, at + 2) & this.#mask;
    this.#latest = slot;
    this.#starts[slot] = start;
    this.#lengths[slot] = length;
    this.#laps[slot] = this.#lap;
    this.#sentAt[slot] = now;
    this.#madeAt[slot] = now;
  }

  /** The packet, which counts as repeated now, borrowed until the next `put`; null when it is gone. `recent` when it was just sent. */
  take(sequenceNumber: number, now: number): Uint8Array | 'recent' | null {
    const slot = sequenceNumber & this.#mask;
    const length = this.#lengths[slot] as number;
    const start = this.#starts[slot] as number;
    if (length === 0 || !this.#isWhole(slot, start)) return null;
    if (u16(this.#ring, start + 2) !== sequenceNumber) return null;
    if (now - (this.#madeAt[slot] as number) > historyMs) return null;
    if (now - (this.#sentAt[slot] as number) < repeatAfterMs) return 'recent';
    this.#sentAt[slot] = now;
    return this.#ring.subarray(start, start + length);
  }

  /** The packet that was kept last, borrowed until the next `put`; null when there is none, or it is too old. */
  latest(now: number): Uint8Array | null {
    const slot = this.#latest;
    if (slot < 0 || now - (this.#madeAt[slot] as number) > historyMs) return null;
    const start = this.#starts[slot] as number;
    return this.#ring.subarray(start, start + (this.#lengths[slot] as number));
  }

  /** What was written in this lap, or in the one before it behind where this one has come. */
  #isWhole(slot: number, start: number): boolean {
    const lap = this.#laps[slot] as number;
    return lap === this.#lap || (lap === this.#lap - 1 && start >= this.#at);
  }

  /** The ring is full. Where it was filled too fast it goes on in a larger one, with all that is in it. */
  #wrap(now: number): void {
    const ring = this.#ring;
    if (now - this.#lapBegan <= historyMs && ring.length < maxRingBytes) {
      this.#ring = new Uint8Array(ring.length * 2);
      this.#ring.set(ring);
      return;
    }
    this.#lap++;
    this.#at = 0;
    this.#lapBegan = now;
  }
}
