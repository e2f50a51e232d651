/** One direction of the emulated link: who is lost, who must wait, and when a packet comes out. No I/O, no clock. */
import { Departures } from './departures.ts';
import type { LinkParameters } from './parameters.ts';

export interface DirectionCounters {
  /** What came in, as IP packets. */
  packets: number;
  bytes: number;
  /** Thrown away at random. */
  lost: number;
  /** Thrown away because they did not fit into the queue. */
  overflowed: number;
  delivered: number;
  deliveredBytes: number;
  /** The most that was held at once. */
  maxHeldBytes: number;
  /** By how much packets came out after their time: what the machine was too busy for. */
  lateMsTotal: number;
  lateMsMax: number;
}

export class LinkDirection {
  readonly counters: DirectionCounters = {
    packets: 0,
    bytes: 0,
    lost: 0,
    overflowed: 0,
    delivered: 0,
    deliveredBytes: 0,
    maxHeldBytes: 0,
    lateMsTotal: 0,
    lateMsMax: 0,
  };
  readonly #link: LinkParameters;
  readonly #random: () => number;
  readonly #departures = new Departures();
  #heldBytes = 0;
  /** Until when the packets before occupy the wire: a token bucket that holds one packet. */
  #wireBusyUntil = 0;
  #lastDue = 0;

  constructor(link: LinkParameters, random: () => number) {
    this.#link = link;
    this.#random = random;
  }

  /** When {@link take} has something, in ms; Infinity while nothing is under way. */
  get nextDue(): number {
    return this.#departures.firstDue;
  }

  /** A packet came in at `now`; it is copied, or dropped and counted. */
  put(packet: Uint8Array, length: number, now: number): void {
    const { delayMs, jitterMs, reorder, lossPercent, kilobitsPerSecond, queueBytes } = this.#link;
    const counters = this.counters;
    counters.packets += 1;
    counters.bytes += length;
    if (lossPercent > 0 && this.#random() * 100 < lossPercent) {
      counters.lost += 1;
      return;
    }
    if (this.#heldBytes + length > queueBytes) {
      counters.overflowed += 1;
      return;
    }
    let due = now;
    if (kilobitsPerSecond !== null) {
      this.#wireBusyUntil = Math.max(now, this.#wireBusyUntil) + (length * 8) / kilobitsPerSecond;
      due = this.#wireBusyUntil;
    }
    due += delayMs;
    if (jitterMs > 0) due = Math.max(now, due + (this.#random() * 2 - 1) * jitterMs);
    if (!reorder) due = Math.max(due, this.#lastDue);
    this.#lastDue = due;
    this.#heldBytes += length;
    counters.maxHeldBytes = Math.max(counters.maxHeldBytes, this.#heldBytes);
    this.#departures.add(due, packet, length);
  }

  /** Hands every packet that is due at `now` to `deliver`, whose bytes are borrowed until it returns. */
  take(now: number, deliver: (packet: Uint8Array, length: number) => void): void {
    const departures = this.#departures;
    while (departures.firstDue <= now) {
      const late = now - departures.firstDue;
      const packet = departures.first();
      if (packet === null) return;
      this.counters.lateMsTotal += late;
      this.counters.lateMsMax = Math.max(this.counters.lateMsMax, late);
      this.counters.delivered += 1;
      this.counters.deliveredBytes += packet.length;
      this.#heldBytes -= packet.length;
      deliver(packet.bytes, packet.length);
      departures.drop();
    }
  }
}
