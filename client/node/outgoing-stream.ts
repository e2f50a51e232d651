/**
 * One publishing section's RTP stream: what its track emits is rewritten into one continuous stream with this section's
 * SSRC, payload type and MID, whichever track feeds it.
 */
import type { RtpPacket } from 'werift';
import { ExtensionWriter, encodeRtpHeaderInto, ntpFromUnixMs, rtpHeaderBytes } from '../../tunnel-protocol/index.ts';
import type { MediaKind, ReportBlock, SenderInfo } from '../../tunnel-protocol/index.ts';
import type { TrackStats } from '../call.ts';
import { extensionIds, payloadTypes } from './sdp-offer.ts';

/** A path's 1200 bytes without the RTP header (12), a MID extension (8) and the longest SRTP tag (16). */
const maxPayloadBytes = 1164;

export class OutgoingStream {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly ssrc: number;
  readonly #ticksPerMs: number;
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

  /** `takesMid`: whether the answer accepted the MID header extension. `random` gives 32 bits. */
  constructor(mid: string, kind: MediaKind, ssrc: number, takesMid: boolean, random: () => number) {
    this.mid = mid;
    this.kind = kind;
    this.ssrc = ssrc;
    this.#ticksPerMs = kind === 'audio' ? 48 : 90;
    this.#midBytes = takesMid ? new TextEncoder().encode(mid) : null;
    // In the lower half: RFC 3711 section 3.3.1 advises room before the first wrap.
    this.#nextSequence = random() & 0x7fff;
    this.#lastTimestamp = random() >>> 0;
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

  /** The packet to send, in fresh memory; null when it is too long. */
  rewrite({ header, payload }: RtpPacket, nowMs: number): Uint8Array | null {
    if (payload.length > maxPayloadBytes) {
      this.#oversized += 1;
      return null;
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
