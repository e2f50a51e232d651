/**
 * How fast a connection delivers and how long a round trip takes, from what the peer credits; and from both how much may
 * be in flight. Samples of the rate are made as in draft-cheng-iccrg-delivery-rate-estimation, per message rather than
 * per segment; the window is BBR's idea (draft-cardwell-iccrg-bbr-congestion-control): twice what fills the path.
 *
 * A credit tells when the credited bytes arrived, by the peer's clock. Translated to our clock by the least difference
 * seen, that leaves out how long the credit itself was on its way or held, so a busy way back bends no measurement.
 */
import type { FlowLimits } from './flow-limits.ts';
import { WindowedMax } from './windowed-extreme.ts';

const smallestRing = 16;
const largestRing = 512;
/** Clocks drift apart by 100 ppm at worst: a millisecond in this time. */
const clockWindowMs = 10_000;
/** A sample of the round trip this near to the smallest is as good: the path was free of queues. */
const nearlySmallest = 1.1;
const leastRoundTripMs = 0.05;
/** After so long without having been held up by the window, the path is not known to be narrow. */
const limitedMs = 3000;

export class DeliveryRate {
  readonly #limits: FlowLimits;
  readonly #rate = new WindowedMax();
  /** Peer's clock minus ours and the way back; its greatest value is the one of the shortest way back. */
  readonly #clockShift = new WindowedMax();
  #sent = 0;
  #delivered = 0;
  /** When the last delivered byte arrived at the peer, in our time. */
  #deliveredAt = 0;
  #firstSentAt = 0;
  /** What is sent before more than this is delivered is limited by the application. */
  #appLimitedUntil = -1;
  #limitedAt = -Infinity;
  #windowBytes: number;
  #roundTripSeenAt = 0;
  #probing = false;
  #probeUntil = Infinity;
  /** Since the last probe, and during this one. */
  #roundTripMs = Infinity;
  #probedRoundTripMs = Infinity;
  /** One entry for each message in flight: where it ended, and how things stood when it was sent. */
  #ring = new MessageRing(smallestRing);

  constructor(limits: FlowLimits, now: number) {
    this.#limits = limits;
    this.#windowBytes = limits.minWindowBytes;
    this.#deliveredAt = this.#firstSentAt = this.#roundTripSeenAt = now;
  }

  get inFlightBytes(): number {
    return this.#sent - this.#delivered;
  }

  get windowBytes(): number {
    return this.#probing ? this.#limits.probeWindowBytes : this.#windowBytes;
  }

  /** Bytes per ms; 0 before the first sample. */
  get bytesPerMs(): number {
    return Math.max(0, this.#rate.value);
  }

  /** The smallest of late; null before the first. */
  get roundTripMs(): number | null {
    return this.#roundTripMs === Infinity ? null : this.#roundTripMs;
  }

  /** Bits per second that the path delivers; null while it is not known to be narrower than what is sent. */
  rateLimit(now: number): number | null {
    return now - this.#limitedAt > limitedMs || this.#rate.value <= 0 ? null : this.#rate.value * 8000;
  }

  /** So many bytes left in one message. */
  sentMessage(bytes: number, now: number): void {
    if (this.#sent === this.#delivered) {
      this.#firstSentAt = this.#deliveredAt = Math.max(now, this.#deliveredAt);
      // Nothing of ours is in the way, so the round trip may show by itself.
      this.#roundTripSeenAt = Math.max(this.#roundTripSeenAt, now - this.#limits.minRoundTripWindowMs / 2);
    }
    this.#sent += bytes;
    // While a probe holds us back, the rate is ours and not the path's.
    if (this.#probing) this.appLimited();
    this.#ring.push(
      this.#sent,
      now,
      this.#delivered,
      this.#deliveredAt,
      this.#firstSentAt,
      this.#appLimitedUntil >= this.#delivered,
    );
  }

  /** Nothing waits and the window has room: what is measured until now's bytes are delivered is our rate, not the path's. */
  appLimited(): void {
    this.#appLimitedUntil = this.#sent;
  }

  /** Something waits and may not be sent. */
  windowLimited(now: number): void {
    this.#limitedAt = now;
  }

  /**
   * The peer received `bytes` more than it had told before, the last of them `heldMs` before it said so; `peerTimeMs` is
   * its clock at that arrival, unwrapped. False: that is more than was sent.
   */
  credited(bytes: number, heldMs: number, peerTimeMs: number, now: number): boolean {
    if (bytes > this.inFlightBytes) return false;
    if (bytes === 0) return true;
    const arrivedAt = this.#arrival(peerTimeMs, heldMs, now);
    this.#delivered += bytes;
    this.#deliveredAt = Math.max(this.#deliveredAt, arrivedAt);
    const ring = this.#ring;
    if (!ring.popThrough(this.#delivered)) return true;
    const roundTripMs = Math.max(leastRoundTripMs, arrivedAt - ring.sentAt);
    this.#noteRoundTrip(roundTripMs, now);
    this.#noteRate(now);
    this.#firstSentAt = ring.sentAt;
    this.#adapt(now);
    return true;
  }

  /** Translates the peer's time of arrival. What the peer says cannot move it out of the time that is possible. */
  #arrival(peerTimeMs: number, heldMs: number, now: number): number {
    const latest = Math.max(this.#deliveredAt, now - heldMs);
    this.#clockShift.add(peerTimeMs - latest, now, clockWindowMs);
    return Math.min(latest, Math.max(this.#deliveredAt, peerTimeMs - this.#clockShift.value));
  }

  #noteRoundTrip(ms: number, now: number): void {
    if (ms <= this.#roundTripMs * nearlySmallest + 0.5) this.#roundTripSeenAt = now;
    this.#roundTripMs = Math.min(this.#roundTripMs, ms);
    if (this.#probeUntil !== Infinity) this.#probedRoundTripMs = Math.min(this.#probedRoundTripMs, ms);
  }

  /** Section 3.3 of the draft. */
  #noteRate(now: number): void {
    const ring = this.#ring;
    const sendMs = ring.sentAt - ring.firstSentAt;
    const ackMs = this.#deliveredAt - ring.deliveredAt;
    const interval = Math.max(sendMs, ackMs);
    const smallest = this.roundTripMs ?? Infinity;
    if (interval < smallest * 0.9 || interval <= 0) return;
    const rate = (this.#delivered - ring.delivered) / interval;
    if (ring.appLimited && rate <= this.#rate.value) return;
    this.#rate.add(rate, now, Math.max(this.#limits.rateWindowMs, 10 * smallest));
  }

  #adapt(now: number): void {
    const { maxWindowBytes, creditTurnMs, minRoundTripWindowMs, probeWindowBytes, probeMs } = this.#limits;
    const smallest = this.roundTripMs ?? 0;
    const wanted = 2 * this.bytesPerMs * Math.max(smallest, creditTurnMs);
    this.#windowBytes = Math.min(maxWindowBytes, Math.max(this.#leastWindow(now), wanted));
    if (!this.#probing) {
      // Only a path that was kept full hides its round trip.
      const isHidden = now - this.#roundTripSeenAt > minRoundTripWindowMs && now - this.#limitedAt < limitedMs;
      if (isHidden) this.#probing = true;
    } else if (this.#probeUntil === Infinity) {
      if (this.inFlightBytes <= probeWindowBytes) this.#probeUntil = now + Math.max(probeMs, smallest);
    } else if (now >= this.#probeUntil && this.#probedRoundTripMs !== Infinity) {
      this.#probing = false;
      this.#probeUntil = Infinity;
      this.#roundTripMs = this.#probedRoundTripMs;
      this.#probedRoundTripMs = Infinity;
      this.#roundTripSeenAt = now;
    }
  }

  #leastWindow(now: number): number {
    const { minWindowBytes, narrowWindowMs, probeWindowBytes } = this.#limits;
    if (now - this.#limitedAt > limitedMs || this.#rate.value <= 0) return minWindowBytes;
    return Math.min(minWindowBytes, Math.max(probeWindowBytes, this.#rate.value * narrowWindowMs));
  }
}

/** Parallel columns instead of an object for each message. */
class MessageRing {
  /** Of the newest message that `popThrough` took out. */
  sentAt = 0;
  delivered = 0;
  deliveredAt = 0;
  firstSentAt = 0;
  appLimited = false;
  #columns: Float64Array;
  #mask: number;
  #head = 0;
  #count = 0;

  constructor(capacity: number) {
    this.#columns = new Float64Array(capacity * columnCount);
    this.#mask = capacity - 1;
  }

  push(end: number, at: number, delivered: number, deliveredAt: number, firstAt: number, appLimited: boolean): void {
    if (this.#count > this.#mask) {
      if (this.#count === largestRing) {
        // The last one grows: its round trip will be judged too long rather than too short.
        this.#columns[((this.#head + this.#count - 1) & this.#mask) * columnCount] = end;
        return;
      }
      this.#grow();
    }
    const columns = this.#columns;
    const row = ((this.#head + this.#count) & this.#mask) * columnCount;
    columns[row] = end;
    columns[row + 1] = at;
    columns[row + 2] = delivered;
    columns[row + 3] = deliveredAt;
    columns[row + 4] = firstAt;
    columns[row + 5] = appLimited ? 1 : 0;
    this.#count++;
  }

  /** Takes out the messages that end at or before `end`. False when there is none. */
  popThrough(end: number): boolean {
    let found = -1;
    while (this.#count > 0) {
      const row = this.#head * columnCount;
      if ((this.#columns[row] as number) > end) break;
      found = row;
      this.#head = (this.#head + 1) & this.#mask;
      this.#count--;
    }
    if (found === -1) return false;
    const columns = this.#columns;
    this.sentAt = columns[found + 1] as number;
    this.delivered = columns[found + 2] as number;
    this.deliveredAt = columns[found + 3] as number;
    this.firstSentAt = columns[found + 4] as number;
    this.appLimited = columns[found + 5] === 1;
    return true;
  }

  #grow(): void {
    const before = this.#columns;
    const capacity = this.#mask + 1;
    const grown = new Float64Array(before.length * 2);
    const first = before.subarray(this.#head * columnCount);
    grown.set(first);
    grown.set(before.subarray(0, this.#head * columnCount), first.length);
    this.#columns = grown;
    this.#head = 0;
    this.#mask = capacity * 2 - 1;
  }
}

const columnCount = 6;
