/**
 * One publishing section's RTP stream: what its track emits is rewritten into one continuous stream with this section's
 * SSRC, payload type and MID, whichever track feeds it.
 */
import type { RtpPacket } from 'werift';
import {
  ExtensionWriter,
  Vp8Descriptor,
  encodeRtpHeaderInto,
  flowLimits,
  isVp8KeyFrame,
  lane,
  ntpFromUnixMs,
  rtpHeaderBytes,
} from '../../tunnel-protocol/index.ts';
import type { MediaKind, ReportBlock, SendMeta, SenderInfo } from '../../tunnel-protocol/index.ts';
import type { TrackStats } from '../call.ts';
import { extensionIds, payloadTypes } from './sdp-offer.ts';

/** A path's 1200 bytes without the RTP header (12), a MID extension (8) and the longest SRTP tag (16). */
const maxPayloadBytes = 1164;
/** Two seconds of video: older frames are not waiting anywhere any more. */
const keptFrameIds = 128;

export class OutgoingStream {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly ssrc: number;
  readonly #ticksPerMs: number;
  readonly #nextFrameId: () => number;
  readonly #midBytes: Uint8Array | null;
  readonly #writer = new ExtensionWriter();
  #sequenceOffset = 0;
  #timestampOffset = 0;
  #nextSequence: number;
  #lastTimestamp: number;
  #lastAtMs = 0;
  #begun = false;
  #fresh = true;
  #packets = 0;
  #octets = 0;
  #bytes = 0;
  #oversized = 0;
  #lost = 0;
  #jitterTicks = 0;
  #meta: SendMeta;
  #frameTimestamp = -1;
  /** Frames that were numbered for this stream; the oldest are forgotten. */
  readonly #frameIds: number[] = [];
  /** Of the first frame that does not build on one that was dropped. */
  #firstFrameId = 0;
  /** Something was dropped that all that comes builds on, up to a key frame. */
  #halted = false;
  readonly #vp8 = new Vp8Descriptor();

  /**
   * `takesMid`: whether the answer accepted the MID header extension. `random` gives 32 bits. `nextFrameId` numbers the
   * frames of all streams, because they share a path; it never gives 0.
   */
  constructor(
    mid: string,
    kind: MediaKind,
    ssrc: number,
    takesMid: boolean,
    random: () => number,
    nextFrameId: () => number,
  ) {
    this.mid = mid;
    this.#nextFrameId = nextFrameId;
    this.kind = kind;
    this.ssrc = ssrc;
    this.#ticksPerMs = kind === 'audio' ? 48 : 90;
    this.#midBytes = takesMid ? new TextEncoder().encode(mid) : null;
    // In the lower half: RFC 3711 section 3.3.1 advises room before the first wrap.
    this.#nextSequence = random() & 0x7fff;
    this.#lastTimestamp = random() >>> 0;
    this.#meta = {
      lane: kind === 'audio' ? lane.audio : lane.video,
      frameId: 0,
      keyFrame: false,
      discardable: kind === 'audio',
      deadlineMs: kind === 'audio' ? flowLimits.audioDeadlineMs : flowLimits.videoDeadlineMs,
    };
  }

  /** Of the packet that `rewrite` gave last. */
  get meta(): SendMeta {
    return this.#meta;
  }

  /**
   * A path dropped a packet, of this stream or of another one. True when this stream's source must be asked for a key
   * frame, because nothing goes out before one.
   */
  dropped({ discardable, frameId }: SendMeta): boolean {
    if (discardable || this.#halted || frameId < this.#firstFrameId || !this.#frameIds.includes(frameId)) return false;
    this.#halted = true;
    return true;
  }

  /** Another track feeds the stream from now on: numbers and times go on from where they are. */
  restart(): void {
    this.#fresh = true;
  }

  get stats(): TrackStats {
    const { mid, kind } = this;
    const jitterMs = this.#jitterTicks / this.#ticksPerMs;
    return { mid, kind, direction: 'send', packets: this.#packets, bytes: this.#bytes, lost: this.#lost, jitterMs };
  }

  /** Packets that were too long for a datagram and were left out. */
  get oversized(): number {
    return this.#oversized;
  }

  /** The packet to send, in fresh memory; null when it is too long, or builds on what was dropped. */
  rewrite({ header, payload }: RtpPacket, nowMs: number): Uint8Array | null {
    if (payload.length > maxPayloadBytes) {
      this.#oversized += 1;
      return null;
    }
    const keyFrame = this.kind === 'video' && isVp8KeyFrame(payload, 0, payload.length);
    if (this.#halted) {
      if (!keyFrame) return null;
      // What is left out leaves no gap in the numbers.
      this.#halted = false;
      this.#fresh = true;
      this.#firstFrameId = Infinity;
    }
    if (this.#fresh) {
      this.#fresh = false;
      this.#sequenceOffset = this.#nextSequence - header.sequenceNumber;
      const elapsed = this.#begun ? Math.max(1, Math.round((nowMs - this.#lastAtMs) * this.#ticksPerMs)) : 0;
      this.#timestampOffset = this.#lastTimestamp + elapsed - header.timestamp;
      this.#begun = true;
    }
    // Gaps and reordering of the source stay visible: the receiver must know of them.
    const sequenceNumber = (header.sequenceNumber + this.#sequenceOffset) & 0xffff;
    const timestamp = (header.timestamp + this.#timestampOffset) >>> 0;
    if (((sequenceNumber - this.#nextSequence) & 0xffff) < 0x8000) this.#nextSequence = (sequenceNumber + 1) & 0xffff;
    this.#lastTimestamp = timestamp;
    this.#lastAtMs = nowMs;
    if (this.kind === 'video') this.#noteFrame(payload, timestamp, keyFrame);

    const mid = this.#midBytes;
    const extensionBytes = mid === null ? 0 : 4 + ((1 + mid.length + 3) & ~3);
    const packet = new Uint8Array(rtpHeaderBytes + extensionBytes + payload.length);
    const { marker } = header;
    const fields = { marker, payloadType: payloadTypes[this.kind], sequenceNumber, timestamp, ssrc: this.ssrc };
    let at = encodeRtpHeaderInto(packet, 0, fields, mid !== null);
    if (mid !== null) {
      this.#writer.begin(packet, at, false);
      this.#writer.add(extensionIds.mid, mid, 0, mid.length);
      at = this.#writer.end();
    }
    packet.set(payload, at);
    this.#packets += 1;
    this.#octets += payload.length;
    this.#bytes += packet.length;
    return packet;
  }

  /** One object for all packets of a frame. */
  #noteFrame(payload: Uint8Array, timestamp: number, keyFrame: boolean): void {
    if (timestamp === this.#frameTimestamp && (!keyFrame || this.#meta.keyFrame)) return;
    const frameId = timestamp === this.#frameTimestamp ? this.#meta.frameId : this.#nextFrameId();
    if (this.#firstFrameId === Infinity) this.#firstFrameId = frameId;
    const discardable = this.#vp8.parse(payload, 0, payload.length) && this.#vp8.nonReference;
    this.#frameTimestamp = timestamp;
    if (this.#frameIds.at(-1) !== frameId && this.#frameIds.push(frameId) > keptFrameIds) this.#frameIds.shift();
    this.#meta = { ...this.#meta, frameId, keyFrame, discardable };
  }

  /** What was sent, told on this machine's wall clock; null before the first packet. */
  senderInfo(nowMs: number, unixMs: number): SenderInfo | null {
    if (this.#packets === 0) return null;
    const elapsed = Math.round((nowMs - this.#lastAtMs) * this.#ticksPerMs);
    return {
      ssrc: this.ssrc,
      ntp: ntpFromUnixMs(unixMs),
      rtpTimestamp: (this.#lastTimestamp + elapsed) >>> 0,
      packetCount: this.#packets >>> 0,
      octetCount: this.#octets >>> 0,
    };
  }

  /** The server's report of what came. */
  reported(block: ReportBlock): void {
    this.#lost = Math.max(0, block.cumulativeLost);
    this.#jitterTicks = block.jitter;
  }
}
