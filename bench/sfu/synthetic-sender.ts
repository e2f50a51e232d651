/** What a synthetic peer publishes: VP8 in two layers as a camera's frames come, and Opus every 20 ms. */
import { putU16, putU32 } from '../../tunnel-protocol/index.ts';
import { stampBytes } from './received-media.ts';
import { extensionIds, payloadTypes } from './synthetic-offer.ts';
import type { SyntheticPeer } from './synthetic-peer.ts';

const headerBytes = 12;
const frameMs = 40;
const audioMs = 20;
/** Opus at 32 kbit/s. */
const audioBytes = 80;
/** 1 Mbit/s and 100 kbit/s at 25 frames per second. */
const layers = [
  { rid: 'h', packets: 5, bytes: 1000 },
  { rid: 'l', packets: 1, bytes: 500 },
] as const;
const keyFrameHeader = Uint8Array.of(0x00, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01);
const speaking = 0x80 | 30;
const silent = 127;

interface Stream {
  readonly ssrc: number;
  sequence: number;
  pictureId: number;
  keyFrame: boolean;
}

export class SyntheticSender {
  speaks = false;
  readonly #peer: SyntheticPeer;
  readonly #video: boolean;
  readonly #streams: readonly Stream[];
  readonly #audio: Stream;
  readonly #stamp = new DataView(new ArrayBuffer(stampBytes));
  readonly #stampBytes = new Uint8Array(this.#stamp.buffer);
  readonly #bytes: Uint8Array;
  #transportNumber = 0;
  #frameAt: number;
  #audioAt: number;

  /** `phase` from 0 to 1: when in the time of a frame this camera's come. */
  constructor(peer: SyntheticPeer, bytes: Uint8Array, index: number, phase: number, video: boolean) {
    this.#peer = peer;
    this.#bytes = bytes;
    this.#video = video;
    const stream = (place: number): Stream => ({
      ssrc: 1000 + index * 4 + place,
      sequence: 0,
      pictureId: 0,
      keyFrame: true,
    });
    this.#audio = stream(0);
    this.#streams = layers.map((_, place) => stream(place + 1));
    const start = performance.now();
    this.#frameAt = start + phase * frameMs;
    this.#audioAt = start + phase * audioMs;
    peer.onKeyFrameRequest = (ssrc) => {
      for (const layer of this.#streams) if (layer.ssrc === ssrc) layer.keyFrame = true;
    };
  }

  /** Sends what is due; the engine is to be reset then. */
  run(now: number): void {
    this.#stamp.setFloat64(0, performance.now());
    // Where the load was held up, what was missed is not made up for.
    if (now - this.#audioAt > 10 * audioMs) this.#audioAt = now;
    if (now - this.#frameAt > 5 * frameMs) this.#frameAt = now;
    while (this.#audioAt <= now) {
      this.#audioAt += audioMs;
      this.#sendAudio();
    }
    while (this.#video && this.#frameAt <= now) {
      this.#frameAt += frameMs;
      for (let i = 0; i < layers.length; i++) this.#sendFrame(i);
    }
    this.#peer.flush();
  }

  #sendAudio(): void {
    const stream = this.#audio;
    const length = headerBytes + 8 + audioBytes;
    const at = this.#peer.open(length);
    const bytes = this.#bytes;
    this.#writeHeader(at, stream, payloadTypes.audio, true, stream.sequence * 960);
    putU32(bytes, at + 12, 0xbede0001);
    bytes[at + 16] = extensionIds.mid << 4;
    bytes[at + 17] = 0x30;
    bytes[at + 18] = extensionIds.audioLevel << 4;
    bytes[at + 19] = this.speaks ? speaking : silent;
    bytes[at + 20] = 0x78;
    this.#finish(at, length);
  }

  #sendFrame(place: number): void {
    const stream = this.#streams[place] as Stream;
    const { rid, packets, bytes: payloadBytes } = layers[place] as (typeof layers)[number];
    const bytes = this.#bytes;
    const { keyFrame } = stream;
    stream.keyFrame = false;
    stream.pictureId = (stream.pictureId + 1) & 0x7fff;
    for (let i = 0; i < packets; i++) {
      const length = headerBytes + 12 + payloadBytes;
      const at = this.#peer.open(length);
      this.#writeHeader(at, stream, payloadTypes.video, i === packets - 1, stream.pictureId * 3600);
      // MID "1", RID, transport-wide number.
      putU32(bytes, at + 12, 0xbede0002);
      bytes[at + 16] = extensionIds.mid << 4;
      bytes[at + 17] = 0x31;
      bytes[at + 18] = extensionIds.rid << 4;
      bytes[at + 19] = rid.charCodeAt(0);
      bytes[at + 20] = (extensionIds.transportWideCc << 4) | 1;
      putU16(bytes, at + 21, this.#transportNumber++ & 0xffff);
      bytes[at + 23] = 0;
      // RFC 7741: extended, picture id of 15 bits and TL0PICIDX.
      bytes[at + 24] = i === 0 ? 0x90 : 0x80;
      bytes[at + 25] = 0xc0;
      putU16(bytes, at + 26, 0x8000 | stream.pictureId);
      bytes[at + 28] = stream.pictureId & 0xff;
      if (i === 0 && keyFrame) bytes.set(keyFrameHeader, at + 29);
      else bytes[at + 29] = 0x01;
      this.#finish(at, length);
    }
  }

  #writeHeader(at: number, stream: Stream, payloadType: number, marker: boolean, timestamp: number): void {
    const bytes = this.#bytes;
    bytes[at] = 0x90;
    bytes[at + 1] = (marker ? 0x80 : 0) | payloadType;
    putU16(bytes, at + 2, stream.sequence++ & 0xffff);
    putU32(bytes, at + 4, timestamp >>> 0);
    putU32(bytes, at + 8, stream.ssrc);
  }

  #finish(at: number, length: number): void {
    this.#bytes.set(this.#stampBytes, at + length - stampBytes);
    this.#peer.queue(at, length);
  }
}
