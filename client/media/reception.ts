/** Reception statistics of one SSRC (RFC 3550 section 6.4 and appendices A.1, A.3, A.8). */
import { middleOfNtp } from '../../tunnel-protocol/index.ts';
import type { MediaKind, ReportBlock, RtpView, SenderInfo } from '../../tunnel-protocol/index.ts';

/** RFC 3550 appendix A.1. */
const maxDropout = 3000;
const maxMisorder = 100;

export class Reception {
  readonly ssrc: number;
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

  constructor(kind: MediaKind, ssrc: number) {
    this.ssrc = ssrc;
    this.#ticksPerMs = kind === 'audio' ? 48 : 90;
  }

  get packets(): number {
    return this.#packets;
  }

  /** RTP packets, headers included. */
  get bytes(): number {
    return this.#bytes;
  }

  get lost(): number {
    return Math.max(0, this.#expected - this.#packets);
  }

  get jitterMs(): number {
    return this.#jitterTicks / this.#ticksPerMs;
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

  count(view: RtpView, nowMs: number): void {
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

  get #expected(): number {
    return this.#highestExtended < 0 ? 0 : this.#highestExtended - this.#firstExtended + 1;
  }
}
