/** How the estimate follows what the delays say: additive and multiplicative increase, multiplicative decrease (draft-ietf-rmcat-gcc-02 section 5.5). */
import type { PathUsage } from './delay-trend.ts';

/** What an overused path is left with, of what it delivers. */
const decrease = 0.85;
const increasePerSecond = 1.08;
/**
 * Delays alone do not take it below this, in bit/s, which carries sound and a small picture: a peer that is short of CPU looks
 * like a queue. A path that takes even less shows it by losses.
 */
const delayFloor = 180_000;
/** Without a queue the estimate may not run ahead of what is delivered, because nothing proves it. */
const maxAhead = 1.5;
const aheadBits = 10_000;
/** Near the capacity that was found before, growth is by a packet for each of these, in ms. */
const responseMs = 150;
const packetBits = 9600;
/** How fast the memory of the capacity fades. */
const capacityWeight = 0.05;
/** After a decrease what was in the queue is still on its way: the next one waits, in ms. */
const settleMs = 200;

export class RateControl {
  bitrate: number;
  #state: 'increase' | 'hold' = 'increase';
  #changedAt = -Infinity;
  #decreasedAt = -Infinity;
  /** The average of what was delivered when a queue built up, and its variance relative to that; null while unknown. */
  #capacity: number | null = null;
  #deviation = 0.4;

  constructor(bitrate: number) {
    this.bitrate = bitrate;
  }

  /** `delivered` in bit/s, null while unknown. Call for each feedback. */
  update(usage: PathUsage, delivered: number | null, now: number): void {
    const passed = this.#changedAt === -Infinity ? 0 : Math.min(1000, now - this.#changedAt);
    this.#changedAt = now;
    if (usage === 'over') this.#decrease(delivered, now);
    else if (usage === 'under') this.#state = 'hold';
    else if (this.#state === 'hold') this.#state = 'increase';
    else this.#increase(delivered, passed);
  }

  #increase(delivered: number | null, passedMs: number): void {
    const capacity = this.#capacity;
    const spread = Math.sqrt(this.#deviation * (capacity ?? 0)) * 3;
    // Far above what was found before: the path is another one now.
    if (capacity !== null && delivered !== null && delivered > capacity + spread * Math.sqrt(1000))
      this.#capacity = null;
    const near = this.#capacity !== null && delivered !== null;
    const more = near
      ? Math.max(4000, (packetBits * 1000) / responseMs) * (passedMs / 1000)
      : Math.max(1000, this.bitrate * (increasePerSecond ** (passedMs / 1000) - 1));
    const limit = delivered === null ? this.bitrate : delivered * maxAhead + aheadBits;
    if (this.bitrate < limit) this.bitrate = Math.min(limit, this.bitrate + more);
  }

  #decrease(delivered: number | null, now: number): void {
    this.#state = 'hold';
    if (now - this.#decreasedAt < settleMs) return;
    this.#decreasedAt = now;
    const known = delivered ?? this.bitrate;
    this.bitrate = Math.min(this.bitrate, Math.max(delayFloor, decrease * known));
    if (delivered === null) return;
    const before = this.#capacity;
    this.#capacity = before === null ? delivered : before + capacityWeight * (delivered - before);
    const error = (this.#capacity - delivered) ** 2 / Math.max(1, this.#capacity);
    this.#deviation = Math.min(
      2.5,
      Math.max(0.4, (1 - capacityWeight) * this.#deviation + (capacityWeight * error) / 1000),
    );
  }
}
