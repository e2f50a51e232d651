/** What losses say (draft-ietf-rmcat-gcc-02 section 6): a little of it is nature, much of it is a full queue. */

const muchLoss = 0.1;
const littleLoss = 0.02;
const increasePerSecond = 1.08;
/** Packets and time that a fraction is taken over. */
const minPackets = 20;
const minMs = 500;

export class LossControl {
  /** What losses leave of the estimate, in bit/s; Infinity while they say nothing. */
  limit = Infinity;
  #lost = 0;
  #packets = 0;
  #since = -Infinity;

  /** A probe passed at this rate, in bit/s. */
  proven(bitrate: number): void {
    this.limit = Math.max(this.limit, bitrate);
  }

  /** Call for each feedback, with the estimate that delays and losses made so far. */
  update(lost: number, packets: number, estimate: number, now: number): void {
    if (this.#since === -Infinity) this.#since = now;
    this.#lost += lost;
    this.#packets += packets;
    if (this.#packets < minPackets || now - this.#since < minMs) return;
    const fraction = this.#lost / this.#packets;
    const passed = Math.min(1000, now - this.#since);
    if (fraction > muchLoss) {
      this.limit = Math.min(this.limit, estimate) * (1 - 0.5 * fraction);
    } else if (fraction < littleLoss && this.limit !== Infinity) {
      this.limit *= increasePerSecond ** (passed / 1000);
      // What it allows is far away from what happens.
      if (this.limit > 2 * estimate + 100_000) this.limit = Infinity;
    }
    this.#lost = 0;
    this.#packets = 0;
    this.#since = now;
  }
}
