/** A path on a virtual clock, with a rate that follows a trace, a queue, a delay and losses, and a sender that keeps to its estimate. */
import { ArrivalLog } from '../arrival-log.ts';
import { SendEstimate } from '../send-estimate.ts';

export interface PathTrace {
  /** What the path takes, in bit/s, at a moment in ms. */
  readonly capacity: (now: number) => number;
  readonly delayMs?: number;
  /** Bytes that wait before more are dropped; as many as 250 ms of a megabit if absent. */
  readonly queueBytes?: number;
  /** Part of the packets that are lost on the way. */
  readonly loss?: number;
  /** How much later than its turn a packet arrives at most, in ms. */
  readonly jitterMs?: number;
}

const packetBytes = 1200;
const tickMs = 5;

export class VirtualPath {
  now = 0;
  readonly estimate = new SendEstimate();
  /** How long each packet that arrived waited in the queue, in ms, with the time it arrived. */
  readonly waits: [number, number][] = [];
  readonly #trace: PathTrace;
  readonly #arrivals = new ArrivalLog();
  #onTheWay: { readonly at: number; readonly act: () => void }[] = [];
  #busyUntil = 0;
  #owed = 0;
  #seed = 12345;
  #lastArrival = 0;

  constructor(trace: PathTrace) {
    this.#trace = trace;
  }

  /** Sends what the estimate allows of `demand` bit/s, which is also what is wanted. */
  run(ms: number, demand: number): void {
    for (const end = this.now + ms; this.now < end; this.now += tickMs) {
      this.#deliver();
      const { estimate } = this;
      // In frames, as video is.
      this.#owed += (Math.min(demand, estimate.bitrate) / 8000) * tickMs;
      if (this.now % 40 === 0) for (; this.#owed > 0; this.#owed -= packetBytes) this.#send();
      for (let due = estimate.prober.due(this.now); due > 0; due -= packetBytes) this.#send();
      if (this.now % 100 !== 0) continue;
      estimate.tick(this.now);
      if (demand > estimate.bitrate) estimate.probe(demand * 1.1, this.now);
      const feedback = this.#arrivals.feedback(1);
      if (feedback !== null) this.#later(this.#trace.delayMs ?? 25, () => estimate.feedback(feedback, this.now));
    }
  }

  /** Sends `actual` bit/s, whatever the estimate says, and wants `wanted`. */
  runLimited(ms: number, actual: number, wanted: number): void {
    for (const end = this.now + ms; this.now < end;) {
      const { estimate } = this;
      estimate.probe(wanted, this.now);
      this.run(100, Math.min(actual, estimate.bitrate));
    }
  }

  /** The highest of the waits since `from`, without the worst twentieth. */
  waitP95(from: number): number {
    const waits = this.waits.flatMap(([at, wait]) => (at >= from ? [wait] : [])).sort((a, b) => a - b);
    return waits[Math.floor(waits.length * 0.95)] ?? 0;
  }

  #send(): void {
    const { capacity, delayMs = 25, loss = 0, jitterMs = 0, queueBytes = 31_250 } = this.#trace;
    const sequence = this.estimate.sent(packetBytes, this.now);
    const perMs = capacity(this.now) / 8000;
    const waitMs = Math.max(0, this.#busyUntil - this.now);
    if (waitMs * perMs > queueBytes || this.#random() < loss) return;
    this.#busyUntil = this.now + waitMs + packetBytes / perMs;
    // It does not overtake.
    const at = Math.max(this.#lastArrival, this.#busyUntil + delayMs + jitterMs * this.#random());
    this.#lastArrival = at;
    this.#later(at - this.now, () => {
      this.waits.push([this.now, waitMs]);
      this.#arrivals.received(sequence, 7, at);
    });
  }

  #later(ms: number, act: () => void): void {
    this.#onTheWay.push({ at: this.now + ms, act });
  }

  #deliver(): void {
    const due = this.#onTheWay.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at);
    this.#onTheWay = this.#onTheWay.filter(({ at }) => at > this.now);
    for (const { act } of due) act();
  }

  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) >>> 0;
    return (this.#seed >>> 8) / 2 ** 24;
  }
}
