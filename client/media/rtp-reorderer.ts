/** Puts packets that came out of order back in order, and says when one will not come any more. */

export interface Sequenced {
  /** 16 bits. */
  readonly sequenceNumber: number;
}

export interface ReordererEvents<P extends Sequenced> {
  packet(packet: P): void;
  /** `count` packets before the next one did not come in time. */
  lost(count: number): void;
}

/** Packets held back while one is missing; at 100 packets a second that is a third of a second. */
const maxHeld = 32;
/** A jump that no reordering explains: the stream began anew. */
const maxJump = 1000;

export class RtpReorderer<P extends Sequenced> {
  readonly #events: ReordererEvents<P>;
  readonly #held = new Map<number, P>();
  #next: number | null = null;

  constructor(events: ReordererEvents<P>) {
    this.#events = events;
  }

  push(packet: P): void {
    this.#next ??= packet.sequenceNumber;
    const ahead = (packet.sequenceNumber - this.#next) & 0xffff;
    if (ahead >= 0x10000 - maxJump) return; // Too late, or a duplicate.
    if (ahead > maxJump) {
      this.#held.clear();
      this.#events.lost(1);
      this.#next = packet.sequenceNumber;
    }
    this.#held.set(packet.sequenceNumber, packet);
    this.#deliver();
    if (this.#held.size > maxHeld) {
      this.#skipGap();
      this.#deliver();
    }
  }

  #deliver(): void {
    while (this.#next !== null) {
      const packet = this.#held.get(this.#next);
      if (packet === undefined) return;
      this.#held.delete(this.#next);
      this.#next = (this.#next + 1) & 0xffff;
      this.#events.packet(packet);
    }
  }

  #skipGap(): void {
    const from = this.#next ?? 0;
    let nearest = maxJump;
    for (const sequenceNumber of this.#held.keys()) nearest = Math.min(nearest, (sequenceNumber - from) & 0xffff);
    this.#next = (from + nearest) & 0xffff;
    this.#events.lost(nearest);
  }
}
