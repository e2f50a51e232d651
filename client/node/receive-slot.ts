/** One receive slot: a track for life, and the reception statistics of its one SSRC. */
import { MediaStreamTrack, RtpHeader, RtpPacket } from 'werift';
import { middleOfNtp } from '../../tunnel-protocol/index.ts';
import type { MediaKind, ReportBlock, RtpView, SenderInfo } from '../../tunnel-protocol/index.ts';
import type { TrackStats } from '../call.ts';

/** RFC 3550 appendix A.1. */
const maxDropout = 3000;
const maxMisorder = 100;

export class ReceiveSlot {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly ssrc: number;
  readonly track: MediaStreamTrack;
  /** Whether the application was told of the track. */
  announced = false;
  readonly #ticksPerMs: number;
  #packets = 0;
  #bytes = 0;
  #firstExtended = -1;
  #highestExtended = -1;
  #jitterTicks = 0;
  #lastTransitTicks: number | null = null;
  #expectedPrior = 0;
  #receivedPrior = 0;
  #lastReport: { readonly middle: number; readonly atMs: number } | null = null;

  /** `before`: the slot of an earlier session, whose track goes on. */
  constructor(mid: string, kind: MediaKind, ssrc: number, before?: ReceiveSlot) {
    this.mid = mid;
    this.kind = kind;
    this.ssrc = ssrc;
    this.#ticksPerMs = kind === 'audio' ? 48 : 90;
    this.track = before?.track ?? new MediaStreamTrack({ kind, remote: true, ssrc, id: `slot-${mid}` });
    this.announced = before?.announced ?? false;
  }

  get stats(): TrackStats {
    const { mid, kind } = this;
    const lost = Math.max(0, this.#expected - this.#packets);
    const jitterMs = this.#jitterTicks / this.#ticksPerMs;
    return { mid, kind, direction: 'receive', packets: this.#packets, bytes: this.#bytes, lost, jitterMs };
  }

  /** A packet of this SSRC, authenticated and parsed; its bytes belong to the track's listeners from now on. */
  receive(view: RtpView, nowMs: number): void {
    this.#count(view, nowMs);
    const { packet, marker, payloadType, sequenceNumber, timestamp, ssrc } = view;
    // Padding and extensions are transport matters: the track's listeners get header and payload.
    const header = new RtpHeader({ marker, payloadType, sequenceNumber, timestamp, ssrc });
    const payload = Buffer.from(packet.buffer, packet.byteOffset + view.payloadOffset, view.payloadLength);
    this.track.onReceiveRtp.execute(new RtpPacket(header, payload));
  }

  senderReport(info: SenderInfo, nowMs: number): void {
    this.#lastReport = { middle: middleOfNtp(info.ntp), atMs: nowMs };
  }

  /** For the next receiver report; null before the first packet. Begins a new interval. */
  takeReport(nowMs: number): ReportBlock | null {
    if (this.#highestExtended < 0) return null;
    const expected = this.#expected;
    const expectedInterval = expected - this.#expectedPrior;
    const lostInterval = expectedInterval - (this.#packets - this.#receivedPrior);
    this.#expectedPrior = expected;
    this.#receivedPrior = this.#packets;
    const report = this.#lastReport;
    return {
      ssrc: this.ssrc,
      fractionLost: lostInterval <= 0 ? 0 : Math.min(255, Math.floor((lostInterval * 256) / expectedInterval)),
      cumulativeLost: Math.max(-0x80_0000, Math.min(0x7f_ffff, expected - this.#packets)),
      extendedHighestSequence: this.#highestExtended >>> 0,
      jitter: Math.round(this.#jitterTicks),
      lastSenderReport: report?.middle ?? 0,
      delaySinceLastSenderReport: report === null ? 0 : Math.round((nowMs - report.atMs) * 65.536) >>> 0,
    };
  }

  end(): void {
    this.track.stop();
  }

  get #expected(): number {
    return this.#highestExtended < 0 ? 0 : this.#highestExtended - this.#firstExtended + 1;
  }

  #count(view: RtpView, nowMs: number): void {
    this.#packets += 1;
    this.#bytes += view.packet.length;
    const { sequenceNumber } = view;
    if (this.#highestExtended < 0) {
      this.#firstExtended = sequenceNumber;
      this.#highestExtended = sequenceNumber;
    } else {
      const ahead = (sequenceNumber - this.#highestExtended) & 0xffff;
      if (ahead < maxDropout) {
        this.#highestExtended += ahead;
      } else if (ahead <= 0x10000 - maxMisorder) {
        // A jump that no loss explains: the numbering began anew, and nothing of it is expected but this packet.
        const expected = this.#expected;
        this.#highestExtended += ahead;
        this.#firstExtended = this.#highestExtended - expected;
      }
    }
    // RFC 3550 appendix A.8.
    const transit = nowMs * this.#ticksPerMs - view.timestamp;
    if (this.#lastTransitTicks !== null) {
      const difference = Math.abs(transit - this.#lastTransitTicks);
      // A jump of the timestamp (a wrap, another source) is no jitter.
      if (difference < 10_000 * this.#ticksPerMs) this.#jitterTicks += (difference - this.#jitterTicks) / 16;
    }
    this.#lastTransitTicks = transit;
  }
}
