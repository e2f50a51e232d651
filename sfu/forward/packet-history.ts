import { u16 } from '../../tunnel-protocol/index.ts';

/** Older packets are of no use to a decoder any more, in ms. */
export const historyMs = 1000;
/** The same packet is not repeated again so soon: two requests for it crossed, in ms. */
export const repeatAfterMs = 20;

/** The last packets of one stream, for those who ask for one again (RFC 4585 section 6.2.1). */
export class PacketHistory {
  readonly #packets: (Uint8Array | null)[];
  /** When each was sent, or repeated, last. */
  readonly #sentAt: Float64Array;
  readonly #madeAt: Float64Array;
  readonly #mask: number;

  /** `size` in packets, a power of two. */
  constructor(size: number) {
    this.#packets = new Array<Uint8Array | null>(size).fill(null);
    this.#sentAt = new Float64Array(size);
    this.#madeAt = new Float64Array(size);
    this.#mask = size - 1;
  }

  /** Keeps a packet; it may not be written to afterwards. */
  put(packet: Uint8Array, now: number): void {
    const at = u16(packet, 2) & this.#mask;
    this.#packets[at] = packet;
    this.#sentAt[at] = now;
    this.#madeAt[at] = now;
  }

  /** The packet, which counts as repeated now; null when it is gone. `recent` when it was just sent. */
  take(sequenceNumber: number, now: number): Uint8Array | 'recent' | null {
    const at = sequenceNumber & this.#mask;
    const packet = this.#packets[at] ?? null;
    if (packet === null || u16(packet, 2) !== sequenceNumber) return null;
    if (now - (this.#madeAt[at] as number) > historyMs) {
      this.#packets[at] = null;
      return null;
    }
    if (now - (this.#sentAt[at] as number) < repeatAfterMs) return 'recent';
    this.#sentAt[at] = now;
    return packet;
  }

  /** Lets go of what is too old. */
  prune(now: number): void {
    for (let at = 0; at <= this.#mask; at++) {
      if (this.#packets[at] !== null && now - (this.#madeAt[at] as number) > historyMs) this.#packets[at] = null;
    }
  }
}
