/** RTP packets as Chromium's offer in testdata/ numbers their payload types and header extensions. */
import { encodeRtpHeaderInto, ExtensionWriter } from '../../tunnel-protocol/index.ts';

/** Ids and payload types of testdata/chromium-156-offer.sdp. */
export const offered = { midId: 4, ridId: 10, audioLevelId: 1, opus: 111, vp8: 96, vp8Rtx: 97 } as const;

export interface RtpOptions {
  readonly ssrc: number;
  readonly payloadType: number;
  readonly sequenceNumber: number;
  readonly timestamp: number;
  readonly payload: Uint8Array;
  readonly marker?: boolean;
  readonly mid?: string;
  readonly rid?: string;
  /** −dBov */
  readonly audioLevel?: number;
}

export function rtpPacket(options: RtpOptions): Uint8Array {
  const packet = new Uint8Array(64 + options.payload.length);
  const { ssrc, payloadType, sequenceNumber, timestamp } = options;
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const elements: [number, Uint8Array][] = [];
  if (options.mid !== undefined) elements.push([offered.midId, text(options.mid)]);
  if (options.rid !== undefined) elements.push([offered.ridId, text(options.rid)]);
  if (options.audioLevel !== undefined) elements.push([offered.audioLevelId, Uint8Array.of(0x80 | options.audioLevel)]);
  const fields = { marker: options.marker ?? true, payloadType, sequenceNumber, timestamp, ssrc };
  let at = encodeRtpHeaderInto(packet, 0, fields, elements.length > 0);
  if (elements.length > 0) {
    const writer = new ExtensionWriter();
    writer.begin(packet, at, false);
    for (const [id, value] of elements) writer.add(id, value, 0, value.length);
    at = writer.end();
  }
  packet.set(options.payload, at);
  return packet.slice(0, at + options.payload.length);
}

/** A VP8 payload that is a whole frame: descriptor with a 15-bit picture id, frame tag, and a number to know it by. */
export function vp8(pictureId: number, keyFrame: boolean, number: number): Uint8Array {
  const tag = keyFrame ? [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00] : [0x11, 0x02, 0x00];
  return Uint8Array.of(0x90, 0x80, 0x80 | (pictureId >> 8), pictureId & 0xff, ...tag, number >> 8, number & 0xff);
}
