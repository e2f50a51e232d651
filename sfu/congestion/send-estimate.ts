/**
 * How much a subscriber's path takes, in bit/s: the lower one of what delays and losses say, raised by probes. Sans-I/O: told
 * of every packet and every feedback, with times from outside.
 */
import { TransportFeedback } from '../../tunnel-protocol/index.ts';
import { DelayTrend } from './delay-trend.ts';
import { DeliveredRate } from './delivered-rate.ts';
import { LossControl } from './loss-control.ts';
import { Prober } from './prober.ts';
import { RateControl } from './rate-control.ts';
import { SendLog } from './send-log.ts';

/** Before anything is known: enough for a large picture, so that it need not be waited for. */
export const startBitrate = 1_000_000;
export const minBitrate = 50_000;
export const maxBitrate = 20_000_000;
/** Feedback that stays out for so long while packets go says that none arrives, in ms. */
export const silenceMs = 2000;
const silencePackets = 20;

/** One for all: it is read and done with within a call. */
const reader = new TransportFeedback();

export class SendEstimate {
  readonly prober = new Prober();
  readonly #log = new SendLog();
  readonly #trend = new DelayTrend();
  readonly #delivered = new DeliveredRate();
  readonly #rate = new RateControl(startBitrate);
  readonly #loss = new LossControl();
  /** The newest packet that feedback told of; -1 before the first. */
  #newest = -1;
  #feedbackAt = -Infinity;
  #sentSince = 0;
  #silentAt = -Infinity;
  /** Of the receiver's 24-bit reference time: what it wrapped, in ms, and its last value. */
  #wrapped = 0;
  #lastArrival = -Infinity;

  /** Whether any feedback came yet. */
  get known(): boolean {
    return this.#feedbackAt !== -Infinity;
  }

  get bitrate(): number {
    return Math.max(minBitrate, Math.min(maxBitrate, this.#rate.bitrate, this.#loss.limit));
  }

  /** What arrives, in bit/s; null while unknown. */
  get delivered(): number | null {
    return this.#delivered.bitrate;
  }

  /** Gives a packet its transport-wide sequence number. */
  sent(bytes: number, now: number): number {
    const sequence = this.#log.sent(bytes, now);
    this.#sentSince++;
    if (this.prober.filling) this.prober.sent(bytes, sequence);
    return sequence;
  }

  /** The layers would take more than the estimate: find out whether the path does. */
  probe(wanted: number, now: number): void {
    this.prober.wanted(wanted, this.bitrate, this.#log.next, now);
  }

  /** A feedback packet of the subscriber. False when it is none. */
  feedback(bytes: Uint8Array, now: number): boolean {
    if (!reader.read(bytes)) return false;
    this.#feedbackAt = now;
    this.#sentSince = 0;
    let lost = 0;
    let packets = 0;
    for (let i = 0; i < reader.packetCount; i++) {
      const sequence = (reader.baseSequence + i) & 0xffff;
      const size = this.#log.bytes(sequence);
      if (size === 0) continue;
      packets++;
      this.#log.settle(sequence);
      const told = reader.arrivals[i] as number;
      if (Number.isNaN(told)) {
        lost++;
        continue;
      }
      const sentAt = this.#log.sentAt(sequence);
      const arrivedAt = this.#extend(told);
      this.#trend.packet(sentAt, arrivedAt);
      this.#delivered.delivered(size, arrivedAt);
      this.prober.arrived(sequence, size, sentAt, arrivedAt);
    }
    this.#newest = (reader.baseSequence + reader.packetCount - 1) & 0xffff;
    if (packets > 0) this.#conclude(lost, packets, now);
    return true;
  }

  /** Call every 100 ms or so. */
  tick(now: number): void {
    if (this.prober.filling) this.prober.due(now);
    if (this.#newest >= 0) this.#takeProbe(now);
    const silent = this.#sentSince >= silencePackets && now - this.#feedbackAt >= silenceMs;
    if (!silent || !this.known || now - this.#silentAt < silenceMs / 2) return;
    this.#silentAt = now;
    this.#rate.bitrate = Math.max(minBitrate, this.#rate.bitrate / 2);
  }

  #conclude(lost: number, packets: number, now: number): void {
    const { usage } = this.#trend;
    if (usage === 'over') this.prober.stop(now);
    this.#rate.update(usage, this.#delivered.bitrate, now);
    this.#loss.update(lost, packets, this.bitrate, now);
    this.#takeProbe(now);
    this.#rate.bitrate = Math.max(minBitrate, Math.min(maxBitrate, this.#rate.bitrate));
  }

  #takeProbe(now: number): void {
    const found = this.prober.result(this.#newest, now);
    if (found === null) return;
    this.#rate.bitrate = Math.max(this.#rate.bitrate, found.bitrate);
    if (!found.saturated) this.#loss.proven(found.bitrate);
  }

  /** The reference time has 24 bits of 64 ms: it wraps after 12 days. */
  #extend(arrival: number): number {
    const period = 2 ** 24 * 64;
    let extended = arrival + this.#wrapped;
    if (this.#lastArrival !== -Infinity && extended < this.#lastArrival - period / 2) {
      this.#wrapped += period;
      extended += period;
    }
    this.#lastArrival = Math.max(this.#lastArrival, extended);
    return extended;
  }
}
