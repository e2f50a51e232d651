/** Takes RTP payloads of one frame, in order and without a gap, and makes of them what a container stores. */
import { u16, putU32, Vp8Descriptor } from '../../tunnel-protocol/index.ts';
import type { VideoCodec } from '../../tunnel-protocol/index.ts';
import { FrameBuffer } from './frame-buffer.ts';

/** More than any encoder makes of one picture of a call; what is larger is thrown away. */
export const maxFrameBytes = 8 * 1024 * 1024;

export interface FramePayloads {
  /** One payload. False when it makes no sense, and then neither does its frame. The bytes are borrowed. */
  add(payload: Uint8Array): boolean;
  /** The whole frame, and begins the next one; null when there is none, or it is not whole. */
  take(): Uint8Array | null;
}

export function framePayloads(codec: VideoCodec): FramePayloads {
  switch (codec) {
    case 'vp8':
      return new PlainPayloads(vp8DescriptorBytes);
    case 'vp9':
      return new PlainPayloads(vp9DescriptorBytes);
    case 'h264':
      return new H264Payloads();
    case 'av1':
      return new Av1Payloads();
  }
}

const vp8 = new Vp8Descriptor();

/** RFC 7741 section 4.2. -1: malformed. */
function vp8DescriptorBytes(payload: Uint8Array): number {
  return vp8.parse(payload, 0, payload.length) ? vp8.length : -1;
}

/** RFC 9628 section 4.2: I, P, L, F, B, E, V, Z, and what they announce. -1: malformed. */
function vp9DescriptorBytes(payload: Uint8Array): number {
  const flags = payload[0] ?? 0;
  let at = 1;
  if ((flags & 0x80) !== 0) at += ((payload[at] ?? 0) & 0x80) !== 0 ? 2 : 1;
  const flexible = (flags & 0x10) !== 0;
  if ((flags & 0x20) !== 0) at += flexible ? 1 : 2;
  if (flexible && (flags & 0x40) !== 0) {
    for (let count = 0, more = true; more && count < 3; count++) more = ((payload[at++] ?? 0) & 0x01) !== 0;
  }
  if ((flags & 0x02) !== 0) at = vp9StructureEnd(payload, at);
  return at < payload.length ? at : -1;
}

/** The scalability structure: section 4.2.1. */
function vp9StructureEnd(payload: Uint8Array, from: number): number {
  const structure = payload[from] ?? 0;
  let at = from + 1;
  if ((structure & 0x10) !== 0) at += 4 * ((structure >>> 5) + 1);
  if ((structure & 0x08) !== 0) {
    const pictures = payload[at++] ?? 0;
    for (let i = 0; i < pictures && at < payload.length; i++) at += 1 + (((payload[at] ?? 0) >>> 2) & 0x03);
  }
  return at;
}

/** VP8 and VP9: behind each descriptor stands a piece of the frame. */
class PlainPayloads implements FramePayloads {
  readonly #descriptorBytes: (payload: Uint8Array) => number;
  readonly #frame = new FrameBuffer(maxFrameBytes);

  constructor(descriptorBytes: (payload: Uint8Array) => number) {
    this.#descriptorBytes = descriptorBytes;
  }

  add(payload: Uint8Array): boolean {
    const skip = this.#descriptorBytes(payload);
    return skip >= 0 && this.#frame.append(payload.subarray(skip));
  }

  take(): Uint8Array | null {
    return this.#frame.length === 0 ? null : this.#frame.take();
  }
}

const nal = { slice: 1, idrSlice: 5, stapA: 24, fuA: 28 } as const;
const nalLengthBytes = 4;

/** RFC 6184 sections 5.6 to 5.8. A frame is its NAL units, each behind its length in 4 bytes (ISO/IEC 14496-15). */
class H264Payloads implements FramePayloads {
  readonly #frame = new FrameBuffer(maxFrameBytes);
  /** Where the unit stands whose fragments are coming; -1: none is. */
  #unitAt = -1;
  #hasSlice = false;

  add(payload: Uint8Array): boolean {
    if (payload.length < 2) return false;
    const type = (payload[0] as number) & 0x1f;
    if (type === nal.fuA) return this.#addFragment(payload);
    if (this.#unitAt >= 0) return false;
    if (type !== nal.stapA) return type > 0 && type < nal.stapA && this.#addUnit(payload);
    for (let at = 1; at < payload.length;) {
      if (at + 2 > payload.length) return false;
      const length = u16(payload, at);
      if (length === 0 || at + 2 + length > payload.length) return false;
      if (!this.#addUnit(payload.subarray(at + 2, at + 2 + length))) return false;
      at += 2 + length;
    }
    return true;
  }

  take(): Uint8Array | null {
    const isWhole = this.#unitAt < 0 && this.#frame.length > 0;
    this.#unitAt = -1;
    this.#hasSlice = false;
    if (isWhole) return this.#frame.take();
    this.#frame.clear();
    return null;
  }

  #addFragment(payload: Uint8Array): boolean {
    const header = payload[1] as number;
    const type = header & 0x1f;
    const begins = (header & 0x80) !== 0;
    if (begins !== this.#unitAt < 0 || type === 0 || type >= nal.stapA) return false;
    if (begins && !this.#follows(type, payload[2])) return false;
    if (begins) {
      this.#unitAt = this.#frame.length;
      if (!this.#addLength(0) || !this.#frame.appendByte(((payload[0] as number) & 0xe0) | type)) return false;
    }
    if (!this.#frame.append(payload.subarray(2))) return false;
    if ((header & 0x40) !== 0) {
      const unit = this.#frame.view(this.#unitAt);
      putU32(unit, 0, unit.length - nalLengthBytes);
      this.#unitAt = -1;
    }
    return true;
  }

  #addUnit(unit: Uint8Array): boolean {
    if (!this.#follows((unit[0] as number) & 0x1f, unit[1])) return false;
    return this.#addLength(unit.length) && this.#frame.append(unit);
  }

  /** Slices come in order: the first one of a frame has its first macroblock, which is one bit (section 7.3.3 of H.264). */
  #follows(type: number, firstByte: number | undefined): boolean {
    if (this.#hasSlice || (type !== nal.slice && type !== nal.idrSlice)) return true;
    this.#hasSlice = true;
    return ((firstByte ?? 0) & 0x80) !== 0;
  }

  #addLength(length: number): boolean {
    for (let shift = 24; shift >= 0; shift -= 8) if (!this.#frame.appendByte((length >>> shift) & 0xff)) return false;
    return true;
  }
}

const obu = { temporalDelimiter: 2, tileList: 8, padding: 15 } as const;

/** RTP payload format for AV1, section 4.3 and 4.4. A frame is its OBUs with their sizes, without delimiters. */
class Av1Payloads implements FramePayloads {
  readonly #frame = new FrameBuffer(maxFrameBytes);
  /** The OBU that is being put together. */
  readonly #open = new FrameBuffer(maxFrameBytes);
  /** It goes on in the next packet. */
  #goesOn = false;

  add(payload: Uint8Array): boolean {
    const aggregation = payload[0] ?? 0;
    const continues = (aggregation & 0x80) !== 0;
    const goesOn = (aggregation & 0x40) !== 0;
    const count = (aggregation >>> 4) & 0x03;
    if (payload.length < 2 || continues !== this.#goesOn) return false;
    let at = 1;
    let index = 1;
    for (; at < payload.length; index++) {
      let length = payload.length - at;
      // W counts the elements, and then the last one has no length.
      if (count === 0 || index < count) {
        const size = leb128(payload, at);
        if (size === null || size.end + size.value > payload.length) return false;
        at = size.end;
        length = size.value;
      }
      if (!this.#open.append(payload.subarray(at, at + length))) return false;
      at += length;
      this.#goesOn = goesOn && at === payload.length;
      if (!this.#goesOn && !this.#close()) return false;
    }
    return count === 0 || index > count;
  }

  take(): Uint8Array | null {
    const isWhole = !this.#goesOn && this.#frame.length > 0;
    this.#goesOn = false;
    this.#open.clear();
    if (isWhole) return this.#frame.take();
    this.#frame.clear();
    return null;
  }

  /** An OBU is whole: it gets its size (AV1 section 5.3.2), whether or not it came with one. */
  #close(): boolean {
    const whole = this.#open.view();
    const isAdded = whole.length === 0 || this.#addObu(whole, whole[0] as number);
    this.#open.clear();
    return isAdded;
  }

  #addObu(whole: Uint8Array, header: number): boolean {
    const type = (header >>> 3) & 0x0f;
    if (type === obu.temporalDelimiter || type === obu.tileList || type === obu.padding) return true;
    const headerBytes = (header & 0x04) !== 0 ? 2 : 1;
    let bodyAt = headerBytes;
    if ((header & 0x02) !== 0) {
      const size = leb128(whole, bodyAt);
      if (size === null || size.end + size.value > whole.length) return false;
      bodyAt = size.end;
    }
    if (bodyAt > whole.length || !this.#frame.appendByte(header | 0x02)) return false;
    if (headerBytes === 2 && !this.#frame.appendByte(whole[1] as number)) return false;
    return this.#addLeb128(whole.length - bodyAt) && this.#frame.append(whole.subarray(bodyAt));
  }

  #addLeb128(value: number): boolean {
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) if (!this.#frame.appendByte((rest & 0x7f) | 0x80)) return false;
    return this.#frame.appendByte(rest);
  }
}

/** AV1 section 4.10.5, up to 4 bytes: more than any frame holds. */
export function leb128(bytes: Uint8Array, at: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  for (let i = 0; i < 4; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return null;
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) return { value, end: at + i + 1 };
  }
  return null;
}
