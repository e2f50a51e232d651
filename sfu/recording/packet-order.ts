/** Puts the packets of one stream back in order, and tells where some are missing for good. */

/** How long a missing packet is waited for, in ms: it is asked for every 100 ms, and takes a round trip. */
export const orderPatienceMs = 350;
/** So many packets may wait behind a missing one. */
const maxWaiting = 512;
/** A packet that is further behind than this is of another numbering. */
const maxBehind = 4096;

export interface OrderedPackets {
  /** The next packet; borrowed. */
  packet(bytes: Uint8Array, payloadOffset: number): void;
  /** Packets before the next one will not come. */
  lost(count: number): void;
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly payloadOffset: number;
  readonly receivedMs: number;
}

export class PacketOrder {
  readonly #output: OrderedPackets;
  /** By sequence number, in the order of arrival. */
  readonly #waiting = new Map<number, Waiting>();
  /** -1 before the first packet. */
  #next = -1;

  constructor(output: OrderedPackets) {
    this.#output = output;
  }

  receive(sequenceNumber: number, bytes: Uint8Array, payloadOffset: number, now: number): void {
    if (this.#next < 0) this.#next = sequenceNumber;
    const ahead = (sequenceNumber - this.#next) & 0xffff;
    if (ahead >= 0x8000) {
      // It was given up, or came twice.
      if (0x1_0000 - ahead <= maxBehind) return;
      this.flush();
      this.#next = sequenceNumber;
    } else if (ahead > 0) {
      if (!this.#waiting.has(sequenceNumber)) {
        this.#waiting.set(sequenceNumber, { bytes: bytes.slice(), payloadOffset, receivedMs: now });
      }
      if (this.#waiting.size > maxWaiting) this.#skip();
      return;
    }
    this.#next = (sequenceNumber + 1) & 0xffff;
    this.#output.packet(bytes, payloadOffset);
    if (this.#waiting.size > 0) this.#release();
  }

  /** Gives up what was waited for long enough. */
  tick(now: number): void {
    // What is missing now is missed since the first of those came that wait behind it.
    for (;;) {
      const [first] = this.#waiting.values();
      if (first === undefined || now - first.receivedMs < orderPatienceMs) return;
      this.#skip();
    }
  }

  /** Nothing more will come: what waits goes out. */
  flush(): void {
    while (this.#waiting.size > 0) this.#skip();
  }

  #release(): void {
    for (let next = this.#waiting.get(this.#next); next !== undefined; next = this.#waiting.get(this.#next)) {
      this.#waiting.delete(this.#next);
      this.#next = (this.#next + 1) & 0xffff;
      this.#output.packet(next.bytes, next.payloadOffset);
    }
  }

  /** To the first packet that waits. */
  #skip(): void {
    let nearest = 0x1_0000;
    for (const number of this.#waiting.keys()) nearest = Math.min(nearest, (number - this.#next) & 0xffff);
    this.#output.lost(nearest);
    this.#next = (this.#next + nearest) & 0xffff;
    this.#release();
  }
}
