/**
 * RFC 4571 framing, the one codec of WebSocket messages, HTTP bodies, ICE-TCP and trunks: a 16-bit big-endian length,
 * then the datagram. Frames that decoders deliver are *borrowed* views of the bytes that were put in: copy to keep.
 */
import { putU16, u16 } from './bytes.ts';

export const frameHeaderBytes = 2;
/** Largest datagram of a frame. An empty one is an error as well: nothing legitimate is empty. */
export const maxDatagramBytes = 2048;
/** Largest WebSocket message; it holds one or more whole frames. */
export const maxMessageBytes = 65_536;

/** `empty-message`, `oversized-message` and `truncated-frame` are found in messages only; a byte stream has none. */
export type FrameError = 'empty-frame' | 'oversized-frame' | 'truncated-frame' | 'empty-message' | 'oversized-message';

/** Whether a datagram can be framed: 1 to {@link maxDatagramBytes} bytes. */
export function fitsFrame(datagram: Uint8Array): boolean {
  return datagram.length > 0 && datagram.length <= maxDatagramBytes;
}

/** One frame in fresh memory. Throws RangeError unless {@link fitsFrame}. */
export function encodeFrame(datagram: Uint8Array): Uint8Array {
  const frame = new Uint8Array(frameHeaderBytes + datagram.length);
  encodeFrameInto(frame, 0, datagram);
  return frame;
}

/**
 * Writes one frame at `at` and returns the offset after it.
 * Throws RangeError unless {@link fitsFrame}, and when the target is too short.
 */
export function encodeFrameInto(target: Uint8Array, at: number, datagram: Uint8Array): number {
  const end = at + frameHeaderBytes + datagram.length;
  if (!fitsFrame(datagram)) throw new RangeError(`A frame holds 1 to ${String(maxDatagramBytes)} bytes`);
  if (end > target.length) throw new RangeError('The target is too short for the frame');
  putU16(target, at, datagram.length);
  target.set(datagram, at + frameHeaderBytes);
  return end;
}

/**
 * Delivers the frames of one WebSocket message as views into it, borrowed until `onFrame` returns.
 * On an error the frames before it have been delivered; the connection is to be closed with `protocol-error`.
 */
export function forEachFrame(message: Uint8Array, onFrame: (frame: Uint8Array) => void): FrameError | null {
  const { buffer, byteOffset, length: total } = message;
  if (total === 0) return 'empty-message';
  if (total > maxMessageBytes) return 'oversized-message';
  let at = 0;
  while (at < total) {
    if (total - at < frameHeaderBytes) return 'truncated-frame';
    const length = u16(message, at);
    if (length === 0) return 'empty-frame';
    if (length > maxDatagramBytes) return 'oversized-frame';
    const end = at + frameHeaderBytes + length;
    if (end > total) return 'truncated-frame';
    // Less than half of what `subarray` costs.
    onFrame(new Uint8Array(buffer, byteOffset + at + frameHeaderBytes, length));
    at = end;
  }
  return null;
}

/**
 * Cuts a byte stream (ICE-TCP, HTTP bodies, trunks) into frames, however it was chunked. Between chunks it holds at
 * most one partial frame. After an error it delivers nothing more.
 *
 * `push` borrows the chunk until `next` returned null. A frame is a view, valid until the next call of `next` or `push`.
 */
export class FrameDecoder {
  #chunk: Uint8Array | null = null;
  #at = 0;
  #partial: Uint8Array | null = null;
  #held = 0;
  #error: FrameError | null = null;

  /** The first fault of the stream; it is final. */
  get error(): FrameError | null {
    return this.#error;
  }

  /** Bytes of a partial frame held; not 0 at the end of a stream means that the stream was cut. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Throws when frames of the chunk before were not all taken. */
  push(chunk: Uint8Array): void {
    if (this.#error !== null) return;
    if (this.#chunk !== null && this.#at < this.#chunk.length) {
      throw new Error('FrameDecoder: call next() until it returns null before the next push()');
    }
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next whole frame, or null when the chunk is used up or the stream is faulty. */
  next(): Uint8Array | null {
    const chunk = this.#chunk;
    if (chunk === null) return null;
    if (this.#held > 0) return this.#completePartial(chunk);
    const at = this.#at;
    if (chunk.length - at >= frameHeaderBytes) {
      const length = u16(chunk, at);
      if (length === 0) return this.#fail('empty-frame');
      if (length > maxDatagramBytes) return this.#fail('oversized-frame');
      const end = at + frameHeaderBytes + length;
      if (end <= chunk.length) {
        this.#at = end;
        return chunk.subarray(at + frameHeaderBytes, end);
      }
    }
    this.#hold(chunk, chunk.length - at);
    this.#chunk = null;
    return null;
  }

  #completePartial(chunk: Uint8Array): Uint8Array | null {
    if (this.#held < frameHeaderBytes) this.#hold(chunk, frameHeaderBytes - this.#held);
    const partial = this.#partial as Uint8Array;
    if (this.#held >= frameHeaderBytes) {
      const length = u16(partial, 0);
      if (length === 0) return this.#fail('empty-frame');
      if (length > maxDatagramBytes) return this.#fail('oversized-frame');
      const end = frameHeaderBytes + length;
      this.#hold(chunk, end - this.#held);
      if (this.#held === end) {
        this.#held = 0;
        return partial.subarray(frameHeaderBytes, end);
      }
    }
    this.#chunk = null;
    return null;
  }

  /** Moves up to `wanted` bytes of the chunk behind those held. */
  #hold(chunk: Uint8Array, wanted: number): void {
    const count = Math.min(wanted, chunk.length - this.#at);
    if (count === 0) return;
    this.#partial ??= new Uint8Array(frameHeaderBytes + maxDatagramBytes);
    this.#partial.set(chunk.subarray(this.#at, this.#at + count), this.#held);
    this.#held += count;
    this.#at += count;
  }

  #fail(error: FrameError): null {
    this.#error = error;
    this.#chunk = null;
    this.#partial = null;
    this.#held = 0;
    return null;
  }
}

const noBytes = new Uint8Array(0);
const smallestBatchBytes = 4096;

/**
 * Collects datagrams into one WebSocket message. `add` copies, so the datagram is free again at once; `take` gives the
 * memory away. One allocation per message, sized by the message before; an idle batch holds no memory.
 */
export class FrameBatch {
  #buffer: Uint8Array = noBytes;
  #bytes = 0;
  #nextCapacity = smallestBatchBytes;

  /** Bytes of the message so far, lengths included. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * False when the datagram was not taken: the message is full (`take` it, then add again), or the datagram cannot be
   * framed at all, which {@link fitsFrame} tells. An empty batch takes every datagram that fits a frame.
   */
  add(datagram: Uint8Array): boolean {
    if (!fitsFrame(datagram)) return false;
    const at = this.#bytes;
    const end = at + frameHeaderBytes + datagram.length;
    if (end > maxMessageBytes) return false;
    if (end > this.#buffer.length) this.#grow(end);
    putU16(this.#buffer, at, datagram.length);
    this.#buffer.set(datagram, at + frameHeaderBytes);
    this.#bytes = end;
    return true;
  }

  /** The message, given away, or null when nothing was added since the last one. */
  take(): Uint8Array | null {
    if (this.#bytes === 0) return null;
    const message = this.#buffer.subarray(0, this.#bytes);
    this.#nextCapacity = capacityFor(this.#bytes);
    this.#buffer = noBytes;
    this.#bytes = 0;
    return message;
  }

  #grow(needed: number): void {
    const grown = new Uint8Array(Math.max(capacityFor(needed), this.#nextCapacity));
    grown.set(this.#buffer.subarray(0, this.#bytes));
    this.#buffer = grown;
  }
}

function capacityFor(bytes: number): number {
  let capacity = smallestBatchBytes;
  while (capacity < bytes) capacity *= 2;
  return capacity;
}
