/** Where a decoder can start, told from the first bytes of an RTP payload. */
import { u16 } from '../bytes.ts';

export type VideoCodec = 'vp8' | 'vp9' | 'h264' | 'av1';

/**
 * Whether this packet begins a key frame (of H.264: its parameter sets, or its first slice when they came before).
 * `length` bytes at `offset` are the payload, without padding. False for what is cut short.
 */
export function isKeyFrame(codec: VideoCodec, packet: Uint8Array, offset: number, length: number): boolean {
  switch (codec) {
    case 'vp8':
      return isVp8KeyFrame(packet, offset, length);
    case 'vp9':
      return isVp9KeyFrame(packet, offset, length);
    case 'h264':
      return isH264KeyFrame(packet, offset, length);
    case 'av1':
      return isAv1KeyFrame(packet, offset, length);
  }
}

/** RFC 7741: S set, partition 0, and P of the frame tag clear. */
export function isVp8KeyFrame(packet: Uint8Array, offset: number, length: number): boolean {
  if (length < 2) return false;
  const first = packet[offset] as number;
  if ((first & 0x17) !== 0x10) return false;
  let at = offset + 1;
  if ((first & 0x80) !== 0) {
    const flags = packet[at++] as number;
    if ((flags & 0x80) !== 0) {
      if (at >= offset + length) return false;
      at += ((packet[at] as number) & 0x80) !== 0 ? 2 : 1;
    }
    if ((flags & 0x40) !== 0) at++;
    if ((flags & 0x30) !== 0) at++;
  }
  return at < offset + length && ((packet[at] as number) & 0x01) === 0;
}

/** RFC 9628 section 4.2: P clear, B set, and no upper spatial layer. */
export function isVp9KeyFrame(packet: Uint8Array, offset: number, length: number): boolean {
  if (length < 1) return false;
  const first = packet[offset] as number;
  if ((first & 0x40) !== 0 || (first & 0x08) === 0) return false;
  if ((first & 0x20) === 0) return true;
  // The layer byte follows the picture id, if there is one: 3 bits TID, U, 3 bits SID, D.
  let at = offset + 1;
  if ((first & 0x80) !== 0) {
    if (length < 2) return false;
    at += ((packet[at] as number) & 0x80) !== 0 ? 2 : 1;
  }
  return at < offset + length && ((packet[at] as number) & 0x0e) === 0;
}

const h264 = { idrSlice: 5, sequenceParameters: 7, stapA: 24, fuA: 28 } as const;

/** RFC 6184 sections 5.6 to 5.8: single NAL units, STAP-A, and the first fragment of FU-A. */
export function isH264KeyFrame(packet: Uint8Array, offset: number, length: number): boolean {
  if (length < 1) return false;
  const end = offset + length;
  const type = (packet[offset] as number) & 0x1f;
  if (type === h264.stapA) {
    let at = offset + 1;
    while (at + 3 <= end) {
      if (startsDecoding((packet[at + 2] as number) & 0x1f)) return true;
      at += 2 + u16(packet, at);
    }
    return false;
  }
  if (type === h264.fuA) {
    const header = length < 2 ? 0 : (packet[offset + 1] as number);
    return (header & 0x80) !== 0 && startsDecoding(header & 0x1f);
  }
  return startsDecoding(type);
}

function startsDecoding(nalType: number): boolean {
  return nalType === h264.idrSlice || nalType === h264.sequenceParameters;
}

/** RTP payload format for AV1, section 4.4: N begins a coded video sequence; Z, a continued fragment, contradicts it. */
export function isAv1KeyFrame(packet: Uint8Array, offset: number, length: number): boolean {
  return length >= 1 && ((packet[offset] as number) & 0x88) === 0x08;
}
