/**
 * The frames of a trunk, the connection between an edge and an SFU node: RFC 4571 lengths, then the flow that the frame
 * belongs to. Flow 0 is the trunk's own: its frames begin with a type. On every other flow travel the datagrams of one path,
 * from the SFU node with what only the SFU knows of them.
 */
import { putU16, putU32, u16, u32 } from '../bytes.ts';
import { maxDatagramBytes } from '../frames.ts';
import type { Lane, SendMeta } from '../path.ts';

export const trunkVersion = 1;

export const trunkLimits = {
  /** Payload of a frame: what the 16-bit length can say. */
  maxFrameBytes: 65_535,
  /** The same before the peer has proved itself. */
  maxHelloBytes: 4096,
  /** JSON of one request or reply, which may be cut into several frames. */
  maxMessageBytes: 4_194_304,
  /** TLS connections of one trunk. */
  maxStreams: 16,
  maxReasonBytes: 123,
} as const;

/** Length and flow. */
export const trunkHeaderBytes = 6;
export const trunkMetaBytes = 4;
/** The most that one datagram becomes. */
export const maxTrunkDatagramBytes = trunkHeaderBytes + trunkMetaBytes + maxDatagramBytes;

/** First byte of a frame of flow 0. */
export const trunkType = {
  /** JSON; the first frame of each stream, either way. */
  hello: 1,
  /** u32 id, u8 last, JSON or a part of it; from the edge. */
  request: 2,
  /** The same; the answer with this id. */
  reply: 3,
  /** JSON; from the SFU node. */
  event: 4,
  /** u32 flow, JSON: a path and its properties; from the edge. */
  open: 5,
  /** u32 flow: the path is gone; from the edge. */
  gone: 6,
  /** u32 flow, u16 code, UTF-8 reason: the path is to be closed; from the SFU node. */
  close: 7,
  /** u32 flow: the path is kept; from the SFU node. */
  bind: 8,
  /** u32 flow: it is let go, and the flow ends; from the SFU node. */
  unbind: 9,
  /** u32 flow, meta: the path dropped a datagram that it took; from the edge. */
  dropped: 10,
  /** u32 flow, u32 kbit/s, all ones for none: what the path delivers; from the edge. */
  rate: 11,
  /** u32: to be answered by a pong with the same. */
  ping: 12,
  pong: 13,
} as const;
export type TrunkType = (typeof trunkType)[keyof typeof trunkType];

export const noRate = 0xffff_ffff;

const metaLaneMask = 3;
const metaKeyFrame = 4;
const metaDiscardable = 8;
const deadlineUnitMs = 10;
const maxFrameId = 0xffff;

/** Four bytes of meta as one number: flags and lane, deadline in units of 10 ms, frame id modulo 2^16 − 1. */
export function packMeta(meta: SendMeta): number {
  const { lane, frameId, keyFrame, discardable, deadlineMs } = meta;
  const flags = lane | (keyFrame ? metaKeyFrame : 0) | (discardable ? metaDiscardable : 0);
  const deadline = deadlineMs === 0 ? 0 : Math.min(255, Math.max(1, Math.round(deadlineMs / deadlineUnitMs)));
  // 0 says that frames do not matter, so no frame becomes it.
  const frame = frameId === 0 ? 0 : ((frameId - 1) % maxFrameId) + 1;
  return ((flags << 24) | (deadline << 16) | frame) >>> 0;
}

export function unpackMeta(packed: number): SendMeta {
  const flags = packed >>> 24;
  return {
    lane: (flags & metaLaneMask) as Lane,
    frameId: packed & maxFrameId,
    keyFrame: (flags & metaKeyFrame) !== 0,
    discardable: (flags & metaDiscardable) !== 0,
    deadlineMs: ((packed >>> 16) & 255) * deadlineUnitMs,
  };
}

/** A datagram with its flow, at `at`; returns the offset after it. The caller knows that it fits. */
export function putTrunkDatagram(target: Uint8Array, at: number, flow: number, datagram: Uint8Array): number {
  putU16(target, at, 4 + datagram.length);
  putU32(target, at + 2, flow);
  target.set(datagram, at + trunkHeaderBytes);
  return at + trunkHeaderBytes + datagram.length;
}

/** The same with meta, as {@link packMeta} makes it. */
export function putTrunkDatagramWithMeta(
  target: Uint8Array,
  at: number,
  flow: number,
  packedMeta: number,
  datagram: Uint8Array,
): number {
  putU16(target, at, 8 + datagram.length);
  putU32(target, at + 2, flow);
  putU32(target, at + trunkHeaderBytes, packedMeta);
  const start = at + trunkHeaderBytes + trunkMetaBytes;
  target.set(datagram, start);
  return start + datagram.length;
}

/** A frame of flow 0, length included, in fresh memory. Throws RangeError past the limit. */
export function encodeTrunkControl(type: TrunkType, words: readonly number[], rest?: Uint8Array): Uint8Array {
  const body = 5 + 4 * words.length + (rest?.length ?? 0);
  if (body > trunkLimits.maxFrameBytes) throw new RangeError('The message is too long for a frame of a trunk');
  const frame = new Uint8Array(2 + body);
  putU16(frame, 0, body);
  frame[trunkHeaderBytes] = type;
  words.forEach((word, i) => {
    putU32(frame, 7 + 4 * i, word);
  });
  if (rest !== undefined) frame.set(rest, 7 + 4 * words.length);
  return frame;
}

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** One frame whose rest is JSON: `hello`, `event`, `open`. */
export function encodeTrunkJson(type: TrunkType, words: readonly number[], value: object): Uint8Array {
  return encodeTrunkControl(type, words, utf8.encode(JSON.stringify(value)));
}

/** Where in a request or reply its part of the JSON begins, after type, id and `last`. */
const messageHeaderBytes = 6;
const partBytes = 32_768;

/** A request or reply, cut into as many frames as it takes. Throws RangeError past the limit. */
export function encodeTrunkMessage(type: 2 | 3, id: number, value: object): readonly Uint8Array[] {
  const text = utf8.encode(JSON.stringify(value));
  if (text.length > trunkLimits.maxMessageBytes) throw new RangeError('The message is too long for a trunk');
  const frames: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < text.length; at += partBytes) {
    const part = text.subarray(at, at + partBytes);
    const rest = new Uint8Array(1 + part.length);
    rest[0] = at + partBytes >= text.length ? 1 : 0;
    rest.set(part, 1);
    frames.push(encodeTrunkControl(type, [id], rest));
  }
  return frames;
}

export interface TrunkPart {
  readonly id: number;
  readonly isLast: boolean;
  readonly bytes: Uint8Array;
}

/** `body` is a frame of flow 0 from its type on; null where it is too short. */
export function readTrunkPart(body: Uint8Array): TrunkPart | null {
  if (body.length < messageHeaderBytes) return null;
  return { id: u32(body, 1), isLast: body[5] !== 0, bytes: body.subarray(messageHeaderBytes) };
}

/** An object from JSON, or null. Never throws. */
export function readTrunkJson(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(strictUtf8.decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null;
  } catch {
    return null;
  }
}

export function readTrunkReason(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes.subarray(0, trunkLimits.maxReasonBytes));
  } catch {
    return '';
  }
}

export function encodeTrunkReason(reason: string): Uint8Array {
  const room = new Uint8Array(trunkLimits.maxReasonBytes);
  return room.subarray(0, utf8.encodeInto(reason, room).written);
}

export type TrunkFrameError = 'short-frame' | 'oversized-frame';

const emptyBytes = new Uint8Array(0);

/**
 * Cuts a trunk's byte stream into frames. `next` tells whether there is one, and then `flow` and `payload` (what follows
 * the flow) are its: a view of the chunk, or of memory that is given away. After an error nothing more is delivered.
 */
export class TrunkDecoder {
  flow = 0;
  payload: Uint8Array = emptyBytes;
  #maxFrameBytes: number = trunkLimits.maxHelloBytes;
  #chunk: Uint8Array = emptyBytes;
  #at = 0;
  /** Begins with the length. */
  #partial: Uint8Array = emptyBytes;
  #held = 0;
  #error: TrunkFrameError | null = null;

  get error(): TrunkFrameError | null {
    return this.#error;
  }

  /** The peer has proved itself: frames may be as long as they can be. */
  trust(): void {
    this.#maxFrameBytes = trunkLimits.maxFrameBytes;
  }

  /** Frames may be views of the chunk, which is not to be overwritten then. Call `next` until it returns false. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  next(): boolean {
    if (this.#error !== null) return false;
    if (this.#held > 0) return this.#complete();
    const chunk = this.#chunk;
    const at = this.#at;
    if (chunk.length - at >= 2) {
      const length = u16(chunk, at);
      if (!this.#allows(length)) return false;
      const end = at + 2 + length;
      if (end <= chunk.length) {
        this.#at = end;
        this.flow = u32(chunk, at + 2);
        this.payload = new Uint8Array(chunk.buffer, chunk.byteOffset + at + trunkHeaderBytes, length - 4);
        return true;
      }
    }
    this.#hold(chunk.length - at);
    return false;
  }

  #complete(): boolean {
    if (this.#held < 2) this.#hold(2 - this.#held);
    if (this.#held < 2) return false;
    const length = u16(this.#partial, 0);
    if (!this.#allows(length)) return false;
    this.#hold(2 + length - this.#held);
    if (this.#held < 2 + length) return false;
    this.#held = 0;
    this.flow = u32(this.#partial, 2);
    this.payload = this.#partial.subarray(trunkHeaderBytes, 2 + length);
    this.#partial = emptyBytes;
    return true;
  }

  #allows(length: number): boolean {
    if (length < 5) this.#error = 'short-frame';
    else if (length > this.#maxFrameBytes) this.#error = 'oversized-frame';
    return this.#error === null;
  }

  /** Moves up to `wanted` bytes of the chunk behind those held. */
  #hold(wanted: number): void {
    const count = Math.min(wanted, this.#chunk.length - this.#at);
    if (count <= 0) return;
    const needed = this.#held + count;
    if (this.#partial.length < needed) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#partial.length, 2 + this.#partialWants()));
      larger.set(this.#partial.subarray(0, this.#held));
      this.#partial = larger;
    }
    this.#partial.set(this.#chunk.subarray(this.#at, this.#at + count), this.#held);
    this.#held += count;
    this.#at += count;
  }

  #partialWants(): number {
    return this.#held >= 2 ? u16(this.#partial, 0) : maxDatagramBytes;
  }
}
