import { isKeyFrame, RtpView, Vp8Descriptor, type RtpError, type VideoCodec } from '../../tunnel-protocol/index.ts';

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

  /** `packet` is plain RTP (unprotected). Null when it can be forwarded; `payload`: its VP8 descriptor is broken. */
  read(packet: Uint8Array, codec: ForwardedCodec): RtpError | 'payload' | null {
    const rtp = this.rtp;
    const error = rtp.parse(packet);
    if (error !== null) return error;
    this.codec = codec;
    if (codec === 'audio') {
      this.keyFrame = true;
    } else if (rtp.payloadLength === 0) {
      this.keyFrame = false;
    } else if (codec === 'vp8') {
      if (!this.vp8.parse(packet, rtp.payloadOffset, rtp.payloadLength)) return 'payload';
      this.keyFrame = this.vp8.keyFrame;
    } else {
      this.keyFrame = isKeyFrame(codec, packet, rtp.payloadOffset, rtp.payloadLength);
    }
    return null;
  }
}
