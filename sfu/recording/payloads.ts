/** Takes RTP payloads of one frame, in order and without a gap, and makes of them what a container stores. */
import { concatBytes, u16, putU32, Vp8Descriptor } from '../../tunnel-protocol/index.ts';
import type { VideoCodec } from '../../tunnel-protocol/index.ts';

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
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(descriptorBytes: (payload: Uint8Array) => number) {
    this.#descriptorBytes = descriptorBytes;
  }

  add(payload: Uint8Array): boolean {
    const skip = this.#descriptorBytes(payload);
    if (skip < 0 || this.#bytes > maxFrameBytes) return false;
    this.#parts.push(payload.slice(skip));
    this.#bytes += payload.length - skip;
    return true;
  }

  take(): Uint8Array | null {
    const frame = this.#parts.length === 0 ? null : concatBytes(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    return frame;
  }
}

const nal = { stapA: 24, fuA: 28 } as const;

/** RFC 6184 sections 5.6 to 5.8. A frame is its NAL units, each behind its length in 4 bytes (ISO/IEC 14496-15). */
class H264Payloads implements FramePayloads {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  /** Fragments of the unit that is not whole yet. */
  #fragments: Uint8Array[] = [];

  add(payload: Uint8Array): boolean {
    if (payload.length < 2 || this.#bytes > maxFrameBytes) return false;
    const type = (payload[0] as number) & 0x1f;
    if (type === nal.fuA) return this.#addFragment(payload);
    if (this.#fragments.length > 0) return false;
    if (type !== nal.stapA) {
      this.#addUnit([payload.slice()]);
      return type > 0 && type < nal.stapA;
    }
    for (let at = 1; at < payload.length;) {
      if (at + 2 > payload.length) return false;
      const length = u16(payload, at);
      if (length === 0 || at + 2 + length > payload.length) return false;
      this.#addUnit([payload.slice(at + 2, at + 2 + length)]);
      at += 2 + length;
    }
    return true;
  }

  take(): Uint8Array | null {
    const frame = this.#parts.length === 0 || this.#fragments.length > 0 ? null : concatBytes(this.#parts);
    this.#parts = [];
    this.#fragments = [];
    this.#bytes = 0;
    return frame;
  }

  #addFragment(payload: Uint8Array): boolean {
    const header = payload[1] as number;
    const begins = (header & 0x80) !== 0;
    if (begins !== (this.#fragments.length === 0)) return false;
    if (begins) this.#fragments.push(Uint8Array.of(((payload[0] as number) & 0xe0) | (header & 0x1f)));
    this.#fragments.push(payload.slice(2));
    this.#bytes += payload.length;
    if ((header & 0x40) !== 0) {
      this.#addUnit(this.#fragments);
      this.#fragments = [];
    }
    return true;
  }

  #addUnit(pieces: readonly Uint8Array[]): void {
    const length = new Uint8Array(4);
    putU32(
      length,
      0,
      pieces.reduce((sum, piece) => sum + piece.length, 0),
    );
    this.#parts.push(length, ...pieces);
    for (const piece of pieces) this.#bytes += piece.length;
  }
}

const obu = { temporalDelimiter: 2, tileList: 8, padding: 15 } as const;

/** RTP payload format for AV1, section 4.3 and 4.4. A frame is its OBUs with their sizes, without delimiters. */
class Av1Payloads implements FramePayloads {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  /** The OBU that goes on in the next packet. */
  #open: Uint8Array[] = [];

  add(payload: Uint8Array): boolean {
    const aggregation = payload[0] ?? 0;
    const continues = (aggregation & 0x80) !== 0;
    const goesOn = (aggregation & 0x40) !== 0;
    const count = (aggregation >>> 4) & 0x03;
    if (payload.length < 2 || continues !== this.#open.length > 0 || this.#bytes > maxFrameBytes) return false;
    let at = 1;
    for (let index = 1; at < payload.length; index++) {
      let length = payload.length - at;
      // W counts the elements, and then the last one has no length.
      if (count === 0 || index < count) {
        const size = leb128(payload, at);
        if (size === null || size.end + size.value > payload.length) return false;
        at = size.end;
        length = size.value;
      }
      this.#open.push(payload.slice(at, at + length));
      this.#bytes += length;
      at += length;
      if (at < payload.length || !goesOn) {
        if (!this.#close()) return false;
      }
    }
    return true;
  }

  take(): Uint8Array | null {
    const frame = this.#parts.length === 0 || this.#open.length > 0 ? null : concatBytes(this.#parts);
    this.#parts = [];
    this.#open = [];
    this.#bytes = 0;
    return frame;
  }

  /** An OBU is whole: it gets its size (AV1 section 5.3.2), whether or not it came with one. */
  #close(): boolean {
    const whole = concatBytes(this.#open);
    this.#open = [];
    const header = whole[0];
    if (header === undefined) return true;
    const type = (header >>> 3) & 0x0f;
    if (type === obu.temporalDelimiter || type === obu.tileList || type === obu.padding) return true;
    const extensionBytes = (header & 0x04) !== 0 ? 1 : 0;
    let bodyAt = 1 + extensionBytes;
    if ((header & 0x02) !== 0) {
      const size = leb128(whole, bodyAt);
      if (size === null || size.end + size.value > whole.length) return false;
      bodyAt = size.end;
    }
    if (bodyAt > whole.length) return false;
    const body = whole.subarray(bodyAt);
    const head = Uint8Array.of(header | 0x02, ...whole.subarray(1, 1 + extensionBytes));
    this.#parts.push(head, encodeLeb128(body.length), body);
    return true;
  }
}

/** AV1 section 4.10.5, up to 4 bytes: more than any packet holds. */
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

export function encodeLeb128(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Uint8Array.from(bytes);
}
