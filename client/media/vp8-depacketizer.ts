/** Puts VP8 frames together from RTP packets (RFC 7741). Gives only what a decoder can decode, beginning at a key frame. */
import { Vp8Descriptor, concatBytes } from '../../tunnel-protocol/index.ts';
import { RtpReorderer } from './rtp-reorderer.ts';

export interface Vp8RtpPacket {
  readonly sequenceNumber: number;
  /** 90 kHz. */
  readonly timestamp: number;
  readonly marker: boolean;
  /** Without padding. Kept until its frame is complete. */
  readonly payload: Uint8Array;
}

export interface Vp8Frame {
  readonly timestamp: number;
  readonly keyFrame: boolean;
  /** Of a key frame; otherwise 0. */
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export interface DepacketizerEvents {
  frame(frame: Vp8Frame): void;
  /** Nothing can be decoded until the next key frame: ask for one. Again every {@link askAgainPackets} while it lasts. */
  needKeyFrame(): void;
}

const maxFrameBytes = 4 * 1024 * 1024;
export const askAgainPackets = 100;

export class Vp8Depacketizer {
  readonly #events: DepacketizerEvents;
  readonly #reorderer: RtpReorderer<Vp8RtpPacket>;
  readonly #descriptor = new Vp8Descriptor();
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #start: { readonly timestamp: number; readonly keyFrame: boolean; width: number; height: number } | null = null;
  #waiting = true;
  #untilAsk = 0;
  #packetsLost = 0;

  constructor(events: DepacketizerEvents) {
    this.#events = events;
    this.#reorderer = new RtpReorderer<Vp8RtpPacket>({
      packet: (packet) => {
        this.#take(packet);
      },
      lost: (count) => {
        this.#packetsLost += count;
        this.#abandon();
      },
    });
  }

  get packetsLost(): number {
    return this.#packetsLost;
  }

  push(packet: Vp8RtpPacket): void {
    this.#reorderer.push(packet);
    if (this.#waiting && this.#untilAsk-- <= 0) {
      this.#untilAsk = askAgainPackets;
      this.#events.needKeyFrame();
    }
  }

  #take(packet: Vp8RtpPacket): void {
    const { payload } = packet;
    // A slot that is kept going without media carries empty packets.
    if (payload.length === 0) return;
    const descriptor = this.#descriptor;
    if (!descriptor.parse(payload, 0, payload.length)) {
      this.#abandon();
      return;
    }
    if (descriptor.startOfFrame) {
      // The frame before lacks its end only if that was lost, which has been told.
      this.#clear();
      if (this.#waiting && !descriptor.keyFrame) return;
      const { keyFrame, width, height } = descriptor;
      this.#start = { timestamp: packet.timestamp, keyFrame, width, height };
    } else if (this.#start === null) {
      if (!this.#waiting) this.#abandon();
      return;
    } else if (this.#start.timestamp !== packet.timestamp) {
      this.#abandon();
      return;
    }
    const data = payload.subarray(descriptor.length);
    this.#parts.push(data);
    this.#bytes += data.length;
    if (this.#bytes > maxFrameBytes) this.#abandon();
    else if (packet.marker) this.#complete();
  }

  #complete(): void {
    const start = this.#start;
    if (start === null) return;
    const data = concatBytes(this.#parts);
    this.#clear();
    this.#waiting = false;
    this.#events.frame({ ...start, data });
  }

  #abandon(): void {
    this.#clear();
    if (this.#waiting) return;
    this.#waiting = true;
    this.#untilAsk = 0;
  }

  #clear(): void {
    this.#parts = [];
    this.#bytes = 0;
    this.#start = null;
  }
}
