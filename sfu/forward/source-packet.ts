import {
  isKeyFrame,
  RtpView,
  u16,
  Vp8Descriptor,
  type RtpError,
  type VideoCodec,
} from '../../tunnel-protocol/index.ts';

const nothing = new Uint8Array(0);

/** `audio` stands for every codec whose packets can each be decoded first. */
export type ForwardedCodec = VideoCodec | 'audio';

/**
 * One incoming packet, taken apart once for all its receivers. One object serves packet after packet; it refers to the
 * packet's bytes, which must stay as they are while it is in use.
 */
export class SourcePacket {
  readonly rtp = new RtpView();
  /** Holds for packets whose codec is `vp8` and that have a payload. */
  readonly vp8 = new Vp8Descriptor();
  codec: ForwardedCodec = 'audio';
  /** A decoder can start here. Always true for audio. */
  keyFrame = false;
  /** Where {@link tail} begins in the packet. */
  tailOffset = 0;
  #tail: Uint8Array | null = null;
  /** Of redundant audio: where its last block begins, which is the packet's own; 0 for all other packets. */
  primaryOffset = 0;
  #redOffset = 0;

  /** What passes as it is: all of the payload, but for the part of a VP8 descriptor that is numbered anew. */
  get tail(): Uint8Array {
    const { packet, payloadOffset, payloadLength } = this.rtp;
    return (this.#tail ??=
      payloadLength === 0 ? nothing : packet.subarray(this.tailOffset, payloadOffset + payloadLength));
  }

  /** `packet` is plain RTP (unprotected). Null when it can be forwarded; `payload`: its VP8 descriptor is broken. */
  read(packet: Uint8Array, codec: ForwardedCodec): RtpError | 'payload' | null {
    const rtp = this.rtp;
    const error = rtp.parse(packet);
    if (error !== null) return error;
    this.codec = codec;
    this.#tail = null;
    this.primaryOffset = 0;
    this.tailOffset = rtp.payloadOffset;
    if (codec === 'audio') {
      this.keyFrame = true;
    } else if (rtp.payloadLength === 0) {
      this.keyFrame = false;
    } else if (codec === 'vp8') {
      if (!this.vp8.parse(packet, rtp.payloadOffset, rtp.payloadLength)) return 'payload';
      this.keyFrame = this.vp8.keyFrame;
      this.tailOffset = endOfNumbers(this.vp8, rtp.payloadOffset);
    } else {
      this.keyFrame = isKeyFrame(codec, packet, rtp.payloadOffset, rtp.payloadLength);
    }
    return null;
  }

  /** Takes redundant audio apart (RFC 2198 section 3). False when its blocks do not fit. */
  readRed(): boolean {
    const { packet, payloadOffset, payloadLength } = this.rtp;
    const end = payloadOffset + payloadLength;
    let at = payloadOffset;
    let redundant = 0;
    while (at < end && (packet[at] as number) >= 0x80) {
      if (at + 4 > end) return false;
      redundant += u16(packet, at + 2) & 0x3ff;
      at += 4;
    }
    const primary = at + 1 + redundant;
    if (at >= end || primary > end) return false;
    this.primaryOffset = primary;
    return true;
  }

  /** From now on the packet is its primary block alone, as a packet of the codec itself would be; or all of it again. */
  showPrimary(alone: boolean): void {
    const { rtp } = this;
    const end = rtp.payloadOffset + rtp.payloadLength;
    if (alone) {
      this.#redOffset = rtp.payloadOffset;
      rtp.payloadOffset = this.primaryOffset;
    } else {
      rtp.payloadOffset = this.#redOffset;
    }
    rtp.payloadLength = end - rtp.payloadOffset;
    this.tailOffset = rtp.payloadOffset;
    this.#tail = null;
  }
}

/** Behind the picture id and TL0PICIDX, as far as they are there. */
function endOfNumbers(vp8: Vp8Descriptor, payloadOffset: number): number {
  if (vp8.tl0PicIdxOffset >= 0) return vp8.tl0PicIdxOffset + 1;
  if (vp8.pictureIdBits === 0) return payloadOffset;
  return vp8.pictureIdOffset + (vp8.pictureIdBits === 7 ? 1 : 2);
}
