/**
 * Whether a queue builds up on the way, told from how the gaps between packets grow from sending to arrival: the trendline
 * filter and the adaptive threshold of Google Congestion Control (draft-ietf-rmcat-gcc-02 sections 5.1 to 5.4; a line
 * through the last delays takes the place of its Kalman filter, as in WebRTC's implementation).
 */

export type PathUsage = 'normal' | 'over' | 'under';

/** Packets sent within so many ms are one group: they leave in a burst, and may arrive in one. */
const groupMs = 5;
const windowGroups = 20;
const smoothing = 0.9;
const trendGain = 4;
const maxCounted = 60;
const initialThresholdMs = 12.5;
const minThresholdMs = 6;
const maxThresholdMs = 600;
/** How long the trend must be above the threshold, in ms. */
const overuseMs = 10;
const thresholdUp = 0.0087;
const thresholdDown = 0.039;
/** A peak that is so far above the threshold is no measure for it, in ms. */
const peakMs = 15;

interface Group {
  firstSent: number;
  lastSent: number;
  firstArrival: number;
  lastArrival: number;
}

export class DelayTrend {
  usage: PathUsage = 'normal';
  #group: Group | null = null;
  #before: Group | null = null;
  readonly #times: number[] = [];
  readonly #delays: number[] = [];
  #firstArrival = 0;
  #accumulated = 0;
  #smoothed = 0;
  #deltas = 0;
  #threshold = initialThresholdMs;
  #thresholdAt = -Infinity;
  #overFor = -1;
  #overCount = 0;
  #lastTrend = 0;

  /** One packet that came, in the order of sending. Times in ms, each of one clock. */
  packet(sentAt: number, arrivedAt: number): void {
    const group = this.#group;
    if (group === null) {
      this.#group = { firstSent: sentAt, lastSent: sentAt, firstArrival: arrivedAt, lastArrival: arrivedAt };
      this.#firstArrival = arrivedAt;
      return;
    }
    if (sentAt < group.firstSent) return;
    if (this.#belongs(group, sentAt, arrivedAt)) {
      group.lastSent = Math.max(group.lastSent, sentAt);
      group.lastArrival = Math.max(group.lastArrival, arrivedAt);
      return;
    }
    if (this.#before !== null) this.#compare(this.#before, group);
    this.#before = group;
    this.#group = { firstSent: sentAt, lastSent: sentAt, firstArrival: arrivedAt, lastArrival: arrivedAt };
  }

  /** Also what arrives at once though it was sent apart: it waited somewhere together, and tells nothing of a queue. */
  #belongs(group: Group, sentAt: number, arrivedAt: number): boolean {
    if (sentAt - group.firstSent <= groupMs) return true;
    const sent = sentAt - group.lastSent;
    const arrived = arrivedAt - group.lastArrival;
    return arrived <= groupMs && arrived - sent < 0 && arrivedAt - group.firstArrival < 100;
  }

  #compare(a: Group, b: Group): void {
    const sent = b.lastSent - a.lastSent;
    const arrived = b.lastArrival - a.lastArrival;
    // Reordered on the way.
    if (arrived < 0) return;
    this.#deltas = Math.min(this.#deltas + 1, 1000);
    this.#accumulated += arrived - sent;
    this.#smoothed = smoothing * this.#smoothed + (1 - smoothing) * this.#accumulated;
    this.#times.push(b.lastArrival - this.#firstArrival);
    this.#delays.push(this.#smoothed);
    if (this.#times.length > windowGroups) {
      this.#times.shift();
      this.#delays.shift();
    }
    const trend = this.#times.length === windowGroups ? slope(this.#times, this.#delays) : this.#lastTrend;
    this.#detect(trend, sent, b.lastArrival);
  }

  #detect(trend: number, sentMs: number, now: number): void {
    const scaled = Math.min(this.#deltas, maxCounted) * trend * trendGain;
    if (scaled > this.#threshold) {
      this.#overFor = this.#overFor < 0 ? sentMs / 2 : this.#overFor + sentMs;
      this.#overCount++;
      if (this.#overFor > overuseMs && this.#overCount > 1 && trend >= this.#lastTrend) {
        this.#overFor = 0;
        this.#overCount = 0;
        this.usage = 'over';
      }
    } else {
      this.#overFor = -1;
      this.#overCount = 0;
      this.usage = scaled < -this.#threshold ? 'under' : 'normal';
    }
    this.#lastTrend = trend;
    this.#adapt(Math.abs(scaled), now);
  }

  /** So that it does not starve beside flows that fill the queue (section 5.4). */
  #adapt(scaled: number, now: number): void {
    const passed = this.#thresholdAt === -Infinity ? 0 : Math.min(100, now - this.#thresholdAt);
    this.#thresholdAt = now;
    if (scaled > this.#threshold + peakMs) return;
    const gain = scaled < this.#threshold ? thresholdDown : thresholdUp;
    const threshold = this.#threshold + gain * (scaled - this.#threshold) * passed;
    this.#threshold = Math.min(maxThresholdMs, Math.max(minThresholdMs, threshold));
  }
}

/** Of the line with the least squares. */
function slope(times: readonly number[], values: readonly number[]): number {
  const count = times.length;
  let sumTime = 0;
  let sumValue = 0;
  for (let i = 0; i < count; i++) {
    sumTime += times[i] as number;
    sumValue += values[i] as number;
  }
  let numerator = 0;
  let denominator = 0;
  for (let i = 0; i < count; i++) {
    const time = (times[i] as number) - sumTime / count;
    numerator += time * ((values[i] as number) - sumValue / count);
    denominator += time * time;
  }
  return denominator === 0 ? 0 : numerator / denominator;
}
