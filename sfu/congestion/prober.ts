/**
 * Finds out whether a path takes more than is sent on it: for a moment, padding fills what is sent up to a higher rate, and the
 * feedback tells how fast that arrived. Without it an estimate could not grow beyond what the present layers need.
 */

/** How long a probe fills, in ms, and how long its feedback is waited for. */
export const probeMs = 250;
const answerMs = 1500;
/** From one probe to the next, in ms, and after failures twice as long each, up to the second. */
export const probeIntervalMs = 2000;
const maxIntervalMs = 6000;
/** A probe aims no higher than this, relative to the estimate. */
const maxStep = 2;
/** What arrives at this part of the rate at which it was sent, and in this part of its packets, passed without a queue. */
const passedRatio = 0.9;
/** Of what a saturated path delivered, so much is believed. */
const saturatedRatio = 0.95;
const minPackets = 8;

interface Probe {
  readonly bitrate: number;
  readonly beganAt: number;
  readonly firstSequence: number;
  lastSequence: number;
  bytesSent: number;
  over: boolean;
}

interface Arrivals {
  packets: number;
  bytes: number;
  firstBytes: number;
  firstSent: number;
  lastSent: number;
  firstArrival: number;
  lastArrival: number;
}

export class Prober {
  #probe: Probe | null = null;
  #arrivals: Arrivals | null = null;
  #nextAt = -Infinity;
  #interval = probeIntervalMs;

  /** Whether padding is to be sent now. */
  get filling(): boolean {
    return this.#probe?.over === false;
  }

  /** More than the estimate is wanted, in bit/s. True when a probe begins with the packet `sequence`. */
  wanted(bitrate: number, estimate: number, sequence: number, now: number): boolean {
    if (this.#probe !== null || now < this.#nextAt || bitrate <= estimate) return false;
    const aim = Math.min(bitrate, estimate * maxStep);
    this.#probe = {
      bitrate: aim,
      beganAt: now,
      firstSequence: sequence,
      lastSequence: sequence,
      bytesSent: 0,
      over: false,
    };
    this.#arrivals = null;
    return true;
  }

  sent(bytes: number, sequence: number): void {
    const probe = this.#probe;
    if (probe?.over !== false) return;
    probe.bytesSent += bytes;
    probe.lastSequence = sequence;
  }

  /** Bytes of padding that are due by now; 0 when the probe is over. */
  due(now: number): number {
    const probe = this.#probe;
    if (probe?.over !== false) return 0;
    const passed = now - probe.beganAt;
    if (passed >= probeMs) {
      probe.over = true;
      return 0;
    }
    return Math.max(0, (probe.bitrate / 8000) * passed - probe.bytesSent);
  }

  /** One packet arrived; `bytes` of it, times in ms. */
  arrived(sequence: number, bytes: number, sentAt: number, arrivedAt: number): void {
    const probe = this.#probe;
    if (probe === null || !isWithin(sequence, probe.firstSequence, probe.lastSequence)) return;
    const seen = this.#arrivals;
    if (seen === null) {
      this.#arrivals = {
        packets: 1,
        bytes,
        firstBytes: bytes,
        firstSent: sentAt,
        lastSent: sentAt,
        firstArrival: arrivedAt,
        lastArrival: arrivedAt,
      };
      return;
    }
    seen.packets++;
    seen.bytes += bytes;
    seen.lastSent = Math.max(seen.lastSent, sentAt);
    seen.lastArrival = Math.max(seen.lastArrival, arrivedAt);
  }

  /** After each feedback, `newest` being the last packet that it told of: what the probe found, in bit/s, else null. */
  result(newest: number, now: number): { readonly bitrate: number; readonly saturated: boolean } | null {
    const probe = this.#probe;
    if (probe?.over !== true) return null;
    const isTold = ((newest - probe.lastSequence) << 16) >> 16 >= 0;
    if (!isTold && now - probe.beganAt < answerMs) return null;
    const seen = this.#arrivals;
    this.#probe = null;
    this.#arrivals = null;
    const sent = ((probe.lastSequence - probe.firstSequence) & 0xffff) + 1;
    const found = seen === null || seen.packets < minPackets ? null : judge(seen, sent);
    const good = found !== null && !found.saturated;
    this.#interval = good ? probeIntervalMs : Math.min(maxIntervalMs, this.#interval * 2);
    // What was found may not be enough yet: go on at once.
    this.#nextAt = now + (good ? 0 : this.#interval);
    return found;
  }

  /** A queue builds up: no more of it. */
  stop(now: number): void {
    if (this.#probe?.over === false) this.#probe.over = true;
    this.#nextAt = Math.max(this.#nextAt, now + probeIntervalMs);
  }
}

function judge(seen: Arrivals, packetsSent: number): { readonly bitrate: number; readonly saturated: boolean } | null {
  const sentMs = seen.lastSent - seen.firstSent;
  const arrivedMs = seen.lastArrival - seen.firstArrival;
  if (sentMs <= 0 || arrivedMs <= 0) return null;
  const bits = (seen.bytes - seen.firstBytes) * 8000;
  const sent = bits / sentMs;
  const arrived = bits / arrivedMs;
  const whole = seen.packets >= passedRatio * packetsSent;
  if (whole && arrived >= passedRatio * sent) return { bitrate: Math.min(sent, arrived), saturated: false };
  return { bitrate: saturatedRatio * arrived, saturated: true };
}

/** In serial arithmetic of 16 bits. */
function isWithin(sequence: number, first: number, last: number): boolean {
  return ((sequence - first) & 0xffff) <= ((last - first) & 0xffff);
}
