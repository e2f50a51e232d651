/** Cuts a client's byte stream into STUN messages and ChannelData, however it was chunked (RFC 8656 sections 3.1, 12.5). */
import { maxStunBytes, stunHeaderBytes, stunMagicCookie, u16, u32 } from '../tunnel-protocol/index.ts';

/** Largest ChannelData with header and padding. */
const maxChannelDataBytes = 2048;
const nothing = new Uint8Array(0);

/**
 * A chunk is borrowed until `next` has returned null. Between chunks it holds at most one partial message, in memory of
 * its own. Messages are views into the chunk, or into that memory.
 */
export class StreamSplitter {
  #chunk: Uint8Array = nothing;
  #at = 0;
  #held: Uint8Array = nothing;
  #failed = false;

  /** True once the stream has shown something that is neither; it is final. */
  get failed(): boolean {
    return this.#failed;
  }

  get heldBytes(): number {
    return this.#held.length;
  }

  push(chunk: Uint8Array): void {
    if (this.#failed) return;
    if (this.#held.length === 0) this.#chunk = chunk;
    else {
      const joined = Buffer.allocUnsafeSlow(this.#held.length + chunk.length);
      joined.set(this.#held);
      joined.set(chunk, this.#held.length);
      this.#chunk = joined;
      this.#held = nothing;
    }
    this.#at = 0;
  }

  /** The next whole message, padding included, or null when the chunk is used up or the stream failed. */
  next(): Uint8Array | null {
    const chunk = this.#chunk;
    const at = this.#at;
    const left = chunk.length - at;
    if (left < 4) return this.#hold();
    const first = chunk[at] as number;
    let length: number;
    if (first < 4) {
      length = stunHeaderBytes + u16(chunk, at + 2);
      if ((length & 3) !== 0 || length > maxStunBytes) return this.#fail();
      if (left >= 8 && u32(chunk, at + 4) !== stunMagicCookie) return this.#fail();
    } else if (first >= 0x40 && first < 0x80) {
      length = 4 + ((u16(chunk, at + 2) + 3) & ~3);
      if (length > maxChannelDataBytes) return this.#fail();
    } else {
      return this.#fail();
    }
    if (left < length) return this.#hold();
    this.#at = at + length;
    return chunk.subarray(at, at + length);
  }

  #hold(): null {
    // A copy by the constructor: `slice` of a Node Buffer would be a view.
    if (this.#at < this.#chunk.length) this.#held = new Uint8Array(this.#chunk.subarray(this.#at));
    this.#chunk = nothing;
    this.#at = 0;
    return null;
  }

  #fail(): null {
    this.#failed = true;
    this.#chunk = nothing;
    this.#held = nothing;
    this.#at = 0;
    return null;
  }
}
