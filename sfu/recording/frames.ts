/** Makes whole frames of a stream's packets. What builds on something that was lost is left out until a key frame. */
import { isKeyFrame, u32 } from '../../tunnel-protocol/index.ts';
import type { ForwardedCodec } from '../forward/index.ts';
import { framePayloads, type FramePayloads } from './payloads.ts';

export interface EncodedFrame {
  /** RTP's. */
  readonly timestamp: number;
  readonly keyFrame: boolean;
  readonly data: Uint8Array;
}

export class FrameAssembler {
  readonly #codec: ForwardedCodec;
  readonly #give: (frame: EncodedFrame) => void;
  readonly #payloads: FramePayloads | null;
  /** Of the frame that is being put together; -1: none. */
  #timestamp = -1;
  #key = false;
  /** A packet of this frame is missing or makes no sense. */
  #spoiled = false;
  #awaitsKey: boolean;

  constructor(codec: ForwardedCodec, give: (frame: EncodedFrame) => void) {
    this.#codec = codec;
    this.#give = give;
    this.#payloads = codec === 'audio' ? null : framePayloads(codec);
    this.#awaitsKey = codec !== 'audio';
  }

  /** Nothing can be used before a key frame comes. */
  get awaitsKeyFrame(): boolean {
    return this.#awaitsKey;
  }

  /** The next packet of RTP, without padding. */
  packet(bytes: Uint8Array, payloadOffset: number): void {
    const timestamp = u32(bytes, 4);
    if (payloadOffset >= bytes.length) return;
    const payload = bytes.subarray(payloadOffset);
    if (this.#payloads === null || this.#codec === 'audio') {
      this.#give({ timestamp, keyFrame: true, data: payload.slice() });
      return;
    }
    if (timestamp !== this.#timestamp) {
      this.#finish(this.#payloads);
      this.#timestamp = timestamp;
      // Where packets were lost, only a frame whose beginning is known by itself can be told to be whole.
      this.#spoiled = this.#awaitsKey && this.#codec !== 'h264' && !this.#begins(payload, this.#codec);
    }
    this.#key ||= this.#begins(payload, this.#codec);
    if (!this.#spoiled && !this.#payloads.add(payload)) this.#spoil();
    if (((bytes[1] as number) & 0x80) !== 0) this.#finish(this.#payloads);
  }

  /** Packets before the next one will not come, or the next one is of another encoder. */
  lost(): void {
    if (this.#payloads !== null) this.#spoil();
  }

  #begins(payload: Uint8Array, codec: Exclude<ForwardedCodec, 'audio'>): boolean {
    return isKeyFrame(codec, payload, 0, payload.length);
  }

  #spoil(): void {
    this.#spoiled = true;
    this.#awaitsKey = true;
  }

  #finish(payloads: FramePayloads): void {
    if (this.#timestamp < 0) return;
    const data = payloads.take();
    const frame = { timestamp: this.#timestamp, keyFrame: this.#key };
    if (data === null && !this.#spoiled) this.#spoil();
    const usable = !this.#spoiled && (this.#key || !this.#awaitsKey);
    this.#timestamp = -1;
    this.#key = false;
    this.#spoiled = false;
    if (data === null || !usable) return;
    this.#awaitsKey = false;
    this.#give({ ...frame, data });
  }
}
