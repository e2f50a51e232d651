/** What was sent when on a transport, by transport-wide sequence number: feedback says when it arrived. */

/** Packets remembered, a power of two: five seconds of a rich stream. */
const size = 2048;
const mask = size - 1;

export class SendLog {
  readonly #sentAt = new Float64Array(size);
  /** In bytes; 0 for what is unknown, or was acknowledged. */
  readonly #bytes = new Uint16Array(size);
  readonly #sequences = new Uint16Array(size);
  #next = 0;

  /** Gives the next packet its number. */
  sent(bytes: number, now: number): number {
    const sequence = this.#next;
    this.#next = (sequence + 1) & 0xffff;
    const slot = sequence & mask;
    this.#sentAt[slot] = now;
    this.#bytes[slot] = bytes;
    this.#sequences[slot] = sequence;
    return sequence;
  }

  /** The number of the next packet. */
  get next(): number {
    return this.#next;
  }

  /** Bytes of a packet that was not acknowledged yet; 0 for all others. */
  bytes(sequence: number): number {
    const slot = sequence & mask;
    return this.#sequences[slot] === sequence ? (this.#bytes[slot] as number) : 0;
  }

  /** In ms; only for packets of which {@link bytes} was not 0 until now. */
  sentAt(sequence: number): number {
    return this.#sentAt[sequence & mask] as number;
  }

  /** It is known what became of it. */
  settle(sequence: number): void {
    this.#bytes[sequence & mask] = 0;
  }
}
