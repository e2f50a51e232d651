/**
 * Datagrams on their way between the page and its media worker. A message costs more than what is in it, so those of one
 * task travel as one buffer, which is transferred. Both ends are of one build; a malformed batch is a defect.
 */
import { putU16, putU32, u16, u32 } from '../../tunnel-protocol/index.ts';
import type { Lane, SendMeta } from '../../tunnel-protocol/index.ts';

/** Length, lane, flags, frame id, deadline. */
const headerBytes = 10;
const flag = { keyFrame: 1, discardable: 2 } as const;
const firstBytes = 16_384;

export class DatagramBatch {
  #bytes = new Uint8Array(firstBytes);
  #length = 0;

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** Copied. */
  add(datagram: Uint8Array, { lane, frameId, keyFrame, discardable, deadlineMs }: SendMeta): void {
    let at = this.#length;
    const end = at + headerBytes + datagram.length;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
    }
    const bytes = this.#bytes;
    putU16(bytes, at, datagram.length);
    bytes[at + 2] = lane;
    bytes[at + 3] = (keyFrame ? flag.keyFrame : 0) | (discardable ? flag.discardable : 0);
    putU32(bytes, at + 4, frameId);
    putU16(bytes, at + 8, Math.min(deadlineMs, 0xffff));
    at += headerBytes;
    bytes.set(datagram, at);
    this.#length = end;
  }

  /** All that was added, in a buffer of its own to be transferred. */
  take(): Uint8Array<ArrayBuffer> {
    const batch = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return batch;
  }
}

/** In order; each datagram is a view of the batch. */
export function readBatch(batch: Uint8Array, each: (datagram: Uint8Array, meta: SendMeta) => void): void {
  for (let at = 0; at + headerBytes <= batch.length;) {
    const length = u16(batch, at);
    const flags = batch[at + 3] as number;
    const meta: SendMeta = {
      lane: batch[at + 2] as Lane,
      frameId: u32(batch, at + 4),
      keyFrame: (flags & flag.keyFrame) !== 0,
      discardable: (flags & flag.discardable) !== 0,
      deadlineMs: u16(batch, at + 8),
    };
    at += headerBytes;
    each(batch.subarray(at, at + length), meta);
    at += length;
  }
}
