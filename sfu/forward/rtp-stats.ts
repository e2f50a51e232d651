import { middleOfNtp, type NtpTime, type ReportBlock, type SenderInfo } from '../../tunnel-protocol/index.ts';

/** Jumps ahead by less are losses; packets behind by less are late (RFC 3550 appendix A.1). */
const maxDropout = 3000;
const maxMisorder = 100;
const sequenceModulus = 0x1_0000;

/** What a receiver knows of one SSRC and says in report blocks: RFC 3550 section 6.4.1, appendices A.1, A.3 and A.8. */
export class ReceptionStats {
  readonly ssrc: number;
  readonly #clockRate: number;
  /** Multiples of 65536 that the sequence number has wrapped. */
  #cycles = 0;
  /** -1 before the first packet. */
  #highest = -1;
  #base = 0;
  /** The number that, seen next, proves that the sender restarted its numbering; -1 = none. */
  #restartAt = -1;
  #received = 0;
  #octets = 0;
  #expectedBefore = 0;
  #receivedBefore = 0;
  #jitter = 0;
  /** Arrival minus timestamp, in timestamp units. */
  #transit = 0;
  #lastReport = 0;
  #lastReportAt = 0;

  /** `clockRate` in Hz, of the timestamps. */
  constructor(ssrc: number, clockRate: number) {
    this.ssrc = ssrc;
    this.#clockRate = clockRate;
  }

  get packets(): number {
    return this.#received;
  }

  get octets(): number {
    return this.#octets;
  }

  /** Since the beginning; negative when more came than were sent (duplicates). */
  get cumulativeLost(): number {
    return this.#highest < 0 ? 0 : this.#expected() - this.#received;
  }

  /** In ms. */
  get jitterMs(): number {
    return (this.#jitter * 1000) / this.#clockRate;
  }

  /** An authenticated packet; `now` in ms, `octets` of payload. */
  received(sequenceNumber: number, timestamp: number, octets: number, now: number): void {
    if (!this.#advance(sequenceNumber)) return;
    this.#received++;
    this.#octets += octets;
    // Appendix A.8, all modulo 2^32.
    const transit = (Math.round((now * this.#clockRate) / 1000) - timestamp) | 0;
    if (this.#received > 1) {
      const difference = Math.abs((transit - this.#transit) | 0);
      this.#jitter += (difference - this.#jitter) / 16;
    }
    this.#transit = transit;
  }

  /** The source's own report came at `now` ms. */
  senderReported(ntp: NtpTime, now: number): void {
    this.#lastReport = middleOfNtp(ntp);
    this.#lastReportAt = now;
  }

  /** The block for the report that is sent at `now` ms; the interval of its fraction ends here. Null without packets. */
  report(now: number): ReportBlock | null {
    if (this.#highest < 0) return null;
    const expected = this.#expected();
    const expectedNow = expected - this.#expectedBefore;
    const lostNow = expectedNow - (this.#received - this.#receivedBefore);
    this.#expectedBefore = expected;
    this.#receivedBefore = this.#received;
    const delay = Math.round(((now - this.#lastReportAt) * 0x1_0000) / 1000);
    return {
      ssrc: this.ssrc,
      fractionLost: expectedNow === 0 || lostNow <= 0 ? 0 : Math.min(255, Math.floor((lostNow * 256) / expectedNow)),
      cumulativeLost: Math.max(-0x80_0000, Math.min(0x7f_ffff, expected - this.#received)),
      extendedHighestSequence: (this.#cycles + this.#highest) >>> 0,
      jitter: Math.floor(this.#jitter),
      lastSenderReport: this.#lastReport,
      delaySinceLastSenderReport: this.#lastReport === 0 ? 0 : Math.max(0, delay) >>> 0,
    };
  }

  #expected(): number {
    return this.#cycles + this.#highest - this.#base + 1;
  }

  /** Appendix A.1 without probation, which authentication replaces. False for a packet that is not to be counted. */
  #advance(sequenceNumber: number): boolean {
    if (this.#highest < 0) {
      this.#restart(sequenceNumber);
      return true;
    }
    const ahead = (sequenceNumber - this.#highest) & 0xffff;
    if (ahead < maxDropout) {
      if (sequenceNumber < this.#highest) this.#cycles += sequenceModulus;
      this.#highest = sequenceNumber;
    } else if (ahead <= sequenceModulus - maxMisorder) {
      if (sequenceNumber !== this.#restartAt) {
        this.#restartAt = (sequenceNumber + 1) & 0xffff;
        return false;
      }
      this.#restart(sequenceNumber);
    }
    return true;
  }

  #restart(sequenceNumber: number): void {
    this.#cycles = 0;
    this.#highest = sequenceNumber;
    this.#base = sequenceNumber;
    this.#restartAt = -1;
    this.#received = 0;
    this.#expectedBefore = 0;
    this.#receivedBefore = 0;
  }
}

/** What a sender says of one SSRC in its sender reports (RFC 3550 section 6.4.1). */
export class SendStats {
  readonly ssrc: number;
  packets = 0;
  /** Payload only, without header and padding. */
  octets = 0;

  constructor(ssrc: number) {
    this.ssrc = ssrc;
  }

  sent(payloadBytes: number): void {
    this.packets++;
    this.octets += payloadBytes;
  }

  /** `rtpTimestamp` is the stream's at the moment `ntp`. */
  senderInfo(ntp: NtpTime, rtpTimestamp: number): SenderInfo {
    return {
      ssrc: this.ssrc,
      ntp,
      rtpTimestamp,
      packetCount: this.packets >>> 0,
      octetCount: this.octets >>> 0,
    };
  }
}
