/** What a container says of a video stream before its first frame, read from a key frame. */
import { concatBytes, putU16, u24, u32 } from '../../tunnel-protocol/index.ts';
import type { VideoCodec } from '../../tunnel-protocol/index.ts';
import { BitReader } from './bit-reader.ts';
import { leb128 } from './payloads.ts';

export interface VideoDetails {
  readonly width: number;
  readonly height: number;
  /** What a decoder is given before the first frame; null for codecs whose key frames say everything. */
  readonly codecPrivate: Uint8Array | null;
}

/** Null when these bytes are no key frame of the codec, or one that cannot be read. */
export function videoDetails(codec: VideoCodec, keyFrame: Uint8Array): VideoDetails | null {
  const details = readers[codec](keyFrame);
  return details === null || details.width === 0 || details.height === 0 ? null : details;
}

const readers: Readonly<Record<VideoCodec, (frame: Uint8Array) => VideoDetails | null>> = {
  vp8: readVp8,
  vp9: readVp9,
  h264: readH264,
  av1: readAv1,
};

/** RFC 6386 section 9.1. */
function readVp8(frame: Uint8Array): VideoDetails | null {
  if (frame.length < 10 || ((frame[0] as number) & 1) !== 0 || u24(frame, 3) !== 0x9d012a) return null;
  const size = (at: number): number => ((frame[at] as number) | ((frame[at + 1] as number) << 8)) & 0x3fff;
  return { width: size(6), height: size(8), codecPrivate: null };
}

const vp9SyncCode = 0x498342;
const rgb = 7;

/** VP9 bitstream specification, section 6.2: uncompressed_header(). */
function readVp9(frame: Uint8Array): VideoDetails | null {
  const bits = new BitReader(frame);
  if (bits.read(2) !== 2) return null;
  const profile = bits.bit() + 2 * bits.bit();
  if (profile === 3) bits.skip(1);
  const showExisting = bits.flag();
  const isInter = bits.flag();
  bits.skip(2);
  if (showExisting || isInter || bits.read(24) !== vp9SyncCode) return null;
  if (profile >= 2) bits.skip(1);
  const colours = bits.read(3);
  // Range, and for the odd profiles subsampling and a reserved bit.
  if (colours !== rgb) bits.skip(profile % 2 === 1 ? 4 : 1);
  else if (profile % 2 === 1) bits.skip(1);
  const [width, height] = [bits.read(16) + 1, bits.read(16) + 1];
  return bits.overrun ? null : { width, height, codecPrivate: null };
}

/** Parameter sets and sequence headers have tens of bytes; they are kept for each file, and are looked at bit by bit. */
const maxHeaderBytes = 2048;
/** They stand at a key frame's beginning; further units are not looked through. */
const maxUnits = 64;

const nalType = { sequenceParameters: 7, pictureParameters: 8 } as const;

/** Units behind their lengths, as payloads.ts writes them; the private data is ISO/IEC 14496-15's configuration record. */
function readH264(frame: Uint8Array): VideoDetails | null {
  let sps: Uint8Array | null = null;
  let pps: Uint8Array | null = null;
  for (let at = 0, units = 0; at + 5 <= frame.length && units < maxUnits; units++) {
    const unit = frame.subarray(at + 4, at + 4 + u32(frame, at));
    const type = (unit[0] as number) & 0x1f;
    if (type === nalType.sequenceParameters) sps ??= unit;
    else if (type === nalType.pictureParameters) pps ??= unit;
    at += 4 + unit.length;
  }
  if (sps === null || pps === null || sps.length < 4 || sps.length + pps.length > maxHeaderBytes) return null;
  const size = h264Size(sps);
  if (size === null) return null;
  const lengths = new Uint8Array(4);
  putU16(lengths, 0, sps.length);
  putU16(lengths, 2, pps.length);
  const head = Uint8Array.of(1, ...sps.subarray(1, 4), 0xff, 0xe1);
  const codecPrivate = concatBytes([head, lengths.subarray(0, 2), sps, Uint8Array.of(1), lengths.subarray(2), pps]);
  return { ...size, codecPrivate };
}

const chromaProfiles: readonly number[] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/** H.264 section 7.3.2.1.1. */
function h264Size(unit: Uint8Array): { readonly width: number; readonly height: number } | null {
  const bits = new BitReader(withoutEmulation(unit.subarray(1)));
  const profile = bits.read(8);
  bits.skip(16);
  bits.golomb();
  let chroma = 1;
  if (chromaProfiles.includes(profile)) {
    chroma = bits.golomb();
    if (chroma === 3) bits.skip(1);
    bits.golomb();
    bits.golomb();
    bits.skip(1);
    if (bits.flag()) skipScalingLists(bits, chroma === 3 ? 12 : 8);
  }
  bits.golomb();
  const orderType = bits.golomb();
  if (orderType === 0) bits.golomb();
  else if (orderType === 1) {
    bits.skip(1);
    bits.golomb();
    bits.golomb();
    const cycle = Math.min(255, bits.golomb());
    for (let i = 0; i < cycle; i++) bits.golomb();
  }
  bits.golomb();
  bits.skip(1);
  const columns = bits.golomb() + 1;
  const rows = bits.golomb() + 1;
  const frames = bits.bit();
  if (frames === 0) bits.skip(1);
  bits.skip(1);
  const [left, right, top, bottom] = bits.flag()
    ? [bits.golomb(), bits.golomb(), bits.golomb(), bits.golomb()]
    : [0, 0, 0, 0];
  const unitX = chroma === 1 || chroma === 2 ? 2 : 1;
  const unitY = (chroma === 1 ? 2 : 1) * (2 - frames);
  const width = columns * 16 - unitX * (left + right);
  const height = rows * 16 * (2 - frames) - unitY * (top + bottom);
  return bits.overrun || width < 1 || height < 1 || width > 16_384 || height > 16_384 ? null : { width, height };
}

function skipScalingLists(bits: BitReader, lists: number): void {
  for (let list = 0; list < lists; list++) {
    if (!bits.flag()) continue;
    let last = 8;
    let next = 8;
    for (let i = 0; i < (list < 6 ? 16 : 64); i++) {
      if (next !== 0) next = (last + bits.signedGolomb() + 256) & 0xff;
      last = next === 0 ? last : next;
    }
  }
}

/** Section 7.4.1: 3 behind two zeros is only there so that no start code is imitated. */
function withoutEmulation(bytes: Uint8Array): Uint8Array {
  return bytes.filter((byte, at) => byte !== 3 || bytes[at - 1] !== 0 || bytes[at - 2] !== 0 || at < 2);
}

const sequenceHeader = 1;

/** AV1 sections 5.5 and 5.3; the private data is AV1CodecConfigurationRecord. */
function readAv1(frame: Uint8Array): VideoDetails | null {
  for (let at = 0, units = 0; at < frame.length && units < maxUnits; units++) {
    const header = frame[at] as number;
    const size = leb128(frame, at + ((header & 0x04) !== 0 ? 2 : 1));
    if (size === null) return null;
    const end = size.end + size.value;
    if (((header >>> 3) & 0x0f) === sequenceHeader) {
      if (end - at > maxHeaderBytes) return null;
      return readSequenceHeader(frame.subarray(size.end, end), frame.subarray(at, end));
    }
    at = end;
  }
  return null;
}

function readSequenceHeader(body: Uint8Array, whole: Uint8Array): VideoDetails | null {
  const bits = new BitReader(body);
  const profile = bits.read(3);
  bits.skip(1);
  let level = 0;
  let tier = 0;
  if (bits.flag()) {
    level = bits.read(5);
  } else {
    const decoderDelayBits = skipTiming(bits);
    const delays = bits.flag();
    const points = bits.read(5) + 1;
    for (let point = 0; point < points; point++) {
      bits.skip(12);
      const pointLevel = bits.read(5);
      const pointTier = pointLevel > 7 ? bits.bit() : 0;
      if (point === 0) [level, tier] = [pointLevel, pointTier];
      if (decoderDelayBits > 0 && bits.flag()) bits.skip(2 * decoderDelayBits + 1);
      if (delays && bits.flag()) bits.skip(4);
    }
  }
  const widthBits = bits.read(4) + 1;
  const heightBits = bits.read(4) + 1;
  const [width, height] = [bits.read(widthBits) + 1, bits.read(heightBits) + 1];
  if (bits.overrun) return null;
  // What browsers send is 8 bits deep; chroma is halved in profile 0, whole in 1. The header itself, behind, says it again.
  const chroma = profile === 0 ? 0x0c : profile === 2 ? 0x08 : 0;
  const record = Uint8Array.of(0x81, (profile << 5) | level, (tier << 7) | chroma, 0);
  return { width, height, codecPrivate: concatBytes([record, whole]) };
}

/** Returns how many bits a decoder's delay has; 0 where there is no decoder model. */
function skipTiming(bits: BitReader): number {
  if (!bits.flag()) return 0;
  bits.skip(64);
  if (bits.flag()) bits.golomb();
  if (!bits.flag()) return 0;
  const delayBits = bits.read(5) + 1;
  bits.skip(32 + 5 + 5);
  return delayBits;
}
