/**
 * The `credit` frame and the end of a connection that sends it. It is read and written in place, because it comes with
 * every other message where the window is used up.
 */
import { putU16, putU32, u16, u32 } from '../bytes.ts';
import type { FlowLimits } from './flow-limits.ts';

export const creditType = 0xf9;
export const creditFrameBytes = 12;
/** Bits of the second byte. The others are sent as 0 and ignored. */
export const creditFlag = { asked: 1 } as const;
const maxHeldUnits = 0xffff;
/** `held` counts in these, `time` in thousandths of a ms. */
const heldUnitsPerMs = 10;

/** What one end has received, and when the other one is to be told. Times are ms of one monotonic clock. */
export class CreditSource {
  readonly #limits: FlowLimits;
  #received = 0;
  #uncredited = 0;
  /** When the first and the last of the uncredited bytes came. */
  #firstAt = 0;
  #lastAt = 0;
  #asked = false;

  constructor(limits: FlowLimits) {
    this.#limits = limits;
  }

  /** So many bytes of frames other than credits came, lengths included. */
  received(bytes: number, now: number): void {
    if (bytes === 0) return;
    if (this.#uncredited === 0) this.#firstAt = now;
    this.#lastAt = now;
    this.#received += bytes;
    this.#uncredited += bytes;
  }

  /** The peer waits for a credit of what it sends in this message. */
  ask(): void {
    this.#asked = true;
  }

  /** A credit must leave now. */
  isDue(now: number): boolean {
    const at = this.dueAt;
    return at !== null && at <= now;
  }

  /** When a credit must leave, if nothing that it could ride with leaves before; null for never. */
  get dueAt(): number | null {
    if (this.#uncredited === 0) return null;
    if (this.#asked) return this.#lastAt;
    return this.#uncredited < this.#limits.creditLeastBytes ? null : this.#firstAt + this.#limits.creditDelayMs;
  }

  /** Whether a message that leaves now should take a credit along. */
  rides(now: number): boolean {
    return this.#uncredited > 0 && (this.#asked || now - this.#firstAt >= this.#limits.creditRideMs);
  }

  /** Writes the frame; all that came is credited with it. Returns the offset after it. `asks`: the peer is to answer at once. */
  writeInto(target: Uint8Array, at: number, asks: boolean, now: number): number {
    const held = this.#uncredited === 0 ? 0 : Math.round((now - this.#lastAt) * heldUnitsPerMs);
    target[at] = creditType;
    target[at + 1] = asks ? creditFlag.asked : 0;
    putU16(target, at + 2, Math.min(maxHeldUnits, held));
    putU32(target, at + 4, this.#received % 0x1_0000_0000);
    putU32(target, at + 8, Math.floor(now * 1000) % 0x1_0000_0000);
    this.#uncredited = 0;
    this.#asked = false;
    return at + creditFrameBytes;
  }
}

/** Unwraps what the peer's credits say; one for each connection. Its fields are those of the last frame read. */
export class CreditReader {
  /** Bytes credited by this frame and not by those before. */
  bytes = 0;
  heldMs = 0;
  /** The peer's clock at the arrival of the last credited byte, from the connection's first credit on, in ms. */
  arrivalMs = 0;
  asked = false;
  /** Frames whose times cannot be. */
  implausible = 0;
  #received = 0;
  #time = -1;
  #clockUs = 0;

  /** False when it is too short. The bytes are borrowed. */
  read(frame: Uint8Array): boolean {
    if (frame.length < creditFrameBytes) return false;
    this.asked = ((frame[1] as number) & creditFlag.asked) !== 0;
    const heldUs = (u16(frame, 2) * 1000) / heldUnitsPerMs;
    const received = u32(frame, 4);
    this.bytes = (received - this.#received) >>> 0;
    this.#received = received;
    const time = u32(frame, 8);
    if (this.#time >= 0) {
      const passed = (time - this.#time) >>> 0;
      // Half the range and more is a step back: that clock is not monotonic, and nothing passed.
      if (passed < 0x8000_0000) this.#clockUs += passed;
      else this.implausible++;
    }
    this.#time = time;
    this.heldMs = heldUs / 1000;
    this.arrivalMs = (this.#clockUs - heldUs) / 1000;
    return true;
  }
}
