/** Cuts a byte stream from a TURN server into STUN messages and ChannelData (RFC 8656 section 3.1), however it was chunked. */
import { maxDatagramBytes, maxStunBytes, stunHeaderBytes, u16 } from '../../tunnel-protocol/index.ts';
import { channelDataHeaderBytes } from './channel-data.ts';

/** Of both kinds of messages, the last two hold a length. */
const lengthBytes = 4;
const maxMessageBytes = Math.max(maxStunBytes, channelDataHeaderBytes + maxDatagramBytes + 3);

/**
 * `push` borrows the chunk until `next` returned null. A message is a view, valid until the next call of `next` or `push`;
 * ChannelData comes without its padding.
 */
export class TurnStreamSplitter {
  #chunk: Uint8Array | null = null;
  #at = 0;
  /** The beginning of a message whose end has not come yet. */
  readonly #partial = new Uint8Array(maxMessageBytes);
  #held = 0;
  #failed = false;

  /** The stream holds something that is no TURN message, or one that is too long. Final: nothing more is delivered. */
  get failed(): boolean {
    return this.#failed;
  }

  push(chunk: Uint8Array): void {
    if (this.#failed) return;
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next whole message, or null when the chunk is used up or the stream is faulty. */
  next(): Uint8Array | null {
    const chunk = this.#chunk;
    if (chunk === null) return null;
    if (this.#held === 0) {
      const left = chunk.length - this.#at;
      if (left >= lengthBytes) {
        const size = this.#sizeAt(chunk, this.#at);
        if (this.#failed) return null;
        if (size <= left) {
          const message = unpadded(chunk, this.#at, size);
          this.#at += size;
          return message;
        }
      }
    } else if (this.#completePartial(chunk)) {
      const size = this.#held;
      this.#held = 0;
      return unpadded(this.#partial, 0, size);
    }
    if (this.#failed) return null;
    this.#hold(chunk, chunk.length - this.#at);
    this.#chunk = null;
    return null;
  }

  /** True when the partial message is whole. */
  #completePartial(chunk: Uint8Array): boolean {
    if (this.#held < lengthBytes) this.#hold(chunk, lengthBytes - this.#held);
    if (this.#held < lengthBytes) return false;
    const size = this.#sizeAt(this.#partial, 0);
    if (this.#failed) return false;
    this.#hold(chunk, size - this.#held);
    return this.#held === size;
  }

  /** Bytes of the message that begins there, padding included. */
  #sizeAt(bytes: Uint8Array, at: number): number {
    const first = bytes[at] as number;
    const length = u16(bytes, at + 2);
    // RFC 7983: no STUN method in use begins higher.
    if (first < 4 && length <= maxStunBytes - stunHeaderBytes) return stunHeaderBytes + length;
    if (first >= 0x40 && first < 0x80 && length <= maxDatagramBytes) return (channelDataHeaderBytes + length + 3) & ~3;
    this.#failed = true;
    this.#chunk = null;
    return 0;
  }

  #hold(chunk: Uint8Array, wanted: number): void {
    const count = Math.min(wanted, chunk.length - this.#at);
    this.#partial.set(chunk.subarray(this.#at, this.#at + count), this.#held);
    this.#held += count;
    this.#at += count;
  }
}

function unpadded(bytes: Uint8Array, at: number, size: number): Uint8Array {
  const isChannelData = (bytes[at] as number) >= 0x40;
  return bytes.subarray(at, at + (isChannelData ? channelDataHeaderBytes + u16(bytes, at + 2) : size));
}
