/** The VP8 payload descriptor and payload header (RFC 7741 sections 4.2 and 4.3). */
import { putU16, u16, u24 } from '../bytes.ts';

/** Of what one packet says of itself. One object serves packet after packet; fields hold for the last sound `parse`. */
export class Vp8Descriptor {
  /** Bytes of the descriptor itself. */
  length = 0;
  /** N: no later frame depends on this one. */
  nonReference = false;
  /** S and partition index 0: the first packet of a frame. */
  startOfFrame = false;
  /** Offset in the packet; -1 when there is none. */
  pictureIdOffset = -1;
  /** 7 or 15; 0 when there is none. */
  pictureIdBits = 0;
  pictureId = 0;
  /** Offset in the packet; -1 when there is none. */
  tl0PicIdxOffset = -1;
  tl0PicIdx = 0;
  /** Temporal layer; -1 when there is none. */
  temporalId = -1;
  /** Y: the frame depends on the base layer only. */
  layerSync = false;
  /** 5 bits; -1 when there is none. */
  keyIndex = -1;
  /** The first packet of a key frame. */
  keyFrame = false;
  /** Of a key frame, when its first packet holds the whole frame header; otherwise 0. */
  width = 0;
  height = 0;

  /** False when the payload (`length` bytes at `offset`) is no VP8 descriptor with something behind it. */
  parse(packet: Uint8Array, offset: number, length: number): boolean {
    const end = offset + length;
    if (length < 2) return false;
    const first = packet[offset] as number;
    let at = offset + 1;
    let flags = 0;
    if ((first & 0x80) !== 0) flags = packet[at++] as number;

    let pictureIdOffset = -1;
    let pictureIdBits = 0;
    let pictureId = 0;
    if ((flags & 0x80) !== 0) {
      if (at >= end) return false;
      pictureIdOffset = at;
      if (((packet[at] as number) & 0x80) !== 0) {
        if (at + 2 > end) return false;
        pictureIdBits = 15;
        pictureId = u16(packet, at) & 0x7fff;
        at += 2;
      } else {
        pictureIdBits = 7;
        pictureId = packet[at] as number;
        at += 1;
      }
    }
    let tl0PicIdxOffset = -1;
    if ((flags & 0x40) !== 0) tl0PicIdxOffset = at++;
    let layers = -1;
    if ((flags & 0x30) !== 0) layers = at++;
    // Each byte counted so far must be there, and at least one of the frame.
    if (at >= end) return false;

    this.length = at - offset;
    this.nonReference = (first & 0x20) !== 0;
    this.startOfFrame = (first & 0x10) !== 0 && (first & 0x07) === 0;
    this.pictureIdOffset = pictureIdOffset;
    this.pictureIdBits = pictureIdBits;
    this.pictureId = pictureId;
    this.tl0PicIdxOffset = tl0PicIdxOffset;
    this.tl0PicIdx = tl0PicIdxOffset < 0 ? 0 : (packet[tl0PicIdxOffset] as number);
    const layerByte = layers < 0 ? 0 : (packet[layers] as number);
    this.temporalId = (flags & 0x20) !== 0 ? layerByte >>> 6 : -1;
    this.layerSync = (flags & 0x20) !== 0 && (layerByte & 0x20) !== 0;
    this.keyIndex = (flags & 0x10) !== 0 ? layerByte & 0x1f : -1;
    // P, the lowest bit of the frame tag, is 0 in a key frame.
    this.keyFrame = this.startOfFrame && ((packet[at] as number) & 0x01) === 0;
    // RFC 6386 section 9.1: 3 bytes of tag, a start code, and two 14-bit sizes, little endian.
    const sized = this.keyFrame && at + 10 <= end && u24(packet, at + 3) === 0x9d012a;
    this.width = sized ? ((packet[at + 6] as number) | ((packet[at + 7] as number) << 8)) & 0x3fff : 0;
    this.height = sized ? ((packet[at + 8] as number) | ((packet[at + 9] as number) << 8)) & 0x3fff : 0;
    return true;
  }
}

/** Overwrites a picture id in place, in the form (7 or 15 bits) that stands at `offset`. */
export function putVp8PictureId(packet: Uint8Array, offset: number, pictureId: number): void {
  if (((packet[offset] as number) & 0x80) !== 0) putU16(packet, offset, 0x8000 | (pictureId & 0x7fff));
  else packet[offset] = pictureId & 0x7f;
}

export function putVp8Tl0PicIdx(packet: Uint8Array, offset: number, tl0PicIdx: number): void {
  packet[offset] = tl0PicIdx;
}
