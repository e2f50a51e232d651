/** Cuts VP8 frames into RTP payloads (RFC 7741 section 4.2). */
import { putU16 } from '../../tunnel-protocol/index.ts';

/** Largest RTP payload made, descriptor included: with headers, SRTP and tunnel it stays below 1200 bytes. */
export const maxVp8PayloadBytes = 1100;
/** X, then I alone, then a 15-bit picture id. */
const descriptorBytes = 4;

export class Vp8Packetizer {
  #pictureId: number;

  /** `pictureId`: of the first frame, 15 bits; random in a real stream. */
  constructor(pictureId: number) {
    this.#pictureId = pictureId & 0x7fff;
  }

  /** The payloads of one frame, about equally long; the last one's packet carries the marker. Fresh memory. */
  packetize(frame: Uint8Array): Uint8Array[] {
    const count = Math.max(1, Math.ceil(frame.length / (maxVp8PayloadBytes - descriptorBytes)));
    const payloads: Uint8Array[] = [];
    for (let i = 0; i < count; i++) {
      const from = Math.floor((frame.length * i) / count);
      const to = Math.floor((frame.length * (i + 1)) / count);
      const payload = new Uint8Array(descriptorBytes + to - from);
      // X; S on the first; partition index 0 throughout, as encoders without partition boundaries do.
      payload[0] = i === 0 ? 0x90 : 0x80;
      payload[1] = 0x80;
      putU16(payload, 2, 0x8000 | this.#pictureId);
      payload.set(frame.subarray(from, to), descriptorBytes);
      payloads.push(payload);
    }
    this.#pictureId = (this.#pictureId + 1) & 0x7fff;
    return payloads;
  }
}
