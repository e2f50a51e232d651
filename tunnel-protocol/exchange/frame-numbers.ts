/**
 * Control frames are numbered from 1 in each direction and kept until they are acknowledged; what else is sent is not.
 * So a lost answer loses no control frame, and a repeated one doubles none.
 */
import { exchangeLimits } from './limits.ts';

interface Kept {
  readonly frame: Uint8Array;
  /** The exchange it was last sent on; 0: it is to be sent again. */
  sentOn: number;
}

export class FrameSender {
  /** The entry at index i has number `#acked + 1 + i`. */
  readonly #kept: Kept[] = [];
  #acked = 0;
  #bytes = 0;
  #due = 0;
  #resent = 0;

  /** Of the next new control frame. */
  get nextNumber(): number {
    return this.#acked + this.#kept.length + 1;
  }

  get unacked(): number {
    return this.#kept.length;
  }

  /** Frames that wait to be sent again. */
  get due(): number {
    return this.#due;
  }

  /** Number of the first of them; null when there is none. */
  get firstDue(): number | null {
    if (this.#due === 0) return null;
    return this.#acked + 1 + this.#kept.findIndex(({ sentOn }) => sentOn === 0);
  }

  get resentFrames(): number {
    return this.#resent;
  }

  /** No further frame is to be taken before some are acknowledged. */
  get full(): boolean {
    return (
      this.#kept.length >= exchangeLimits.maxUnackedFrames ||
      this.#bytes >= exchangeLimits.maxUnackedBytes ||
      this.nextNumber >= exchangeLimits.maxNumber
    );
  }

  /** Keeps a new frame, which goes on this exchange. */
  add(frame: Uint8Array, exchange: number): void {
    this.#kept.push({ frame, sentOn: exchange });
    this.#bytes += frame.length;
  }

  /** Cumulative; an older one changes nothing. False: it was never sent. */
  acknowledge(number: number): boolean {
    if (number >= this.nextNumber) return false;
    for (; this.#acked < number; this.#acked++) {
      const kept = this.#kept.shift() as Kept;
      this.#bytes -= kept.frame.length;
      if (kept.sentOn === 0) this.#due--;
    }
    return true;
  }

  /**
   * Exchanges have ended. What was sent on one, and is not acknowledged, is to be sent again; but what stands behind a
   * frame still on its way may have arrived and wait for that one.
   */
  settle(isPending: (exchange: number) => boolean): void {
    for (const kept of this.#kept) {
      if (kept.sentOn === 0) continue;
      if (isPending(kept.sentOn)) return;
      this.#markDue(kept);
    }
  }

  /** What was sent on this exchange is to be sent again. */
  lost(exchange: number): void {
    for (const kept of this.#kept) if (kept.sentOn === exchange) this.#markDue(kept);
  }

  /** Hands out the frames to be sent again, in order, until `send` refuses one. */
  resend(exchange: number, send: (frame: Uint8Array, number: number) => boolean): void {
    for (let i = 0; this.#due > 0 && i < this.#kept.length; i++) {
      const kept = this.#kept[i] as Kept;
      if (kept.sentOn !== 0) continue;
      if (!send(kept.frame, this.#acked + 1 + i)) return;
      kept.sentOn = exchange;
      this.#due--;
      this.#resent++;
    }
  }

  #markDue(kept: Kept): void {
    kept.sentOn = 0;
    this.#due++;
  }
}

export class FrameReceiver {
  readonly #deliver: (frame: Uint8Array) => void;
  /** Those that overtook others, copied. */
  readonly #held = new Map<number, Uint8Array>();
  #heldBytes = 0;
  #received = 0;
  #duplicates = 0;

  /** `deliver` gets each control frame once and in order, borrowed. */
  constructor(deliver: (frame: Uint8Array) => void) {
    this.#deliver = deliver;
  }

  /** All up to this number were delivered. */
  get received(): number {
    return this.#received;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get heldFrames(): number {
    return this.#held.size;
  }

  get duplicates(): number {
    return this.#duplicates;
  }

  /** One too far ahead is dropped: it is not acknowledged, so it comes again. */
  receive(frame: Uint8Array, number: number): void {
    const ahead = number - this.#received;
    if (ahead <= 0 || this.#held.has(number)) {
      this.#duplicates++;
    } else if (ahead === 1) {
      this.#received = number;
      this.#deliver(frame);
      this.#deliverHeld();
    } else if (
      ahead <= exchangeLimits.maxHeldFrames &&
      this.#held.size < exchangeLimits.maxHeldFrames &&
      this.#heldBytes + frame.length <= exchangeLimits.maxHeldBytes
    ) {
      this.#held.set(number, frame.slice());
      this.#heldBytes += frame.length;
    }
  }

  #deliverHeld(): void {
    while (this.#held.size > 0) {
      const frame = this.#held.get(this.#received + 1);
      if (frame === undefined) return;
      this.#received++;
      this.#held.delete(this.#received);
      this.#heldBytes -= frame.length;
      this.#deliver(frame);
    }
  }
}
