/** When the packets of a publisher's transport came, for the feedback from which it estimates its bandwidth. */
import { encodeTransportFeedback } from '../../tunnel-protocol/index.ts';

/** Packets remembered, a power of two. */
const size = 1024;
const mask = size - 1;
/** A packet that is late by no more is told once more, with those after it. */
const maxLate = 128;

export class ArrivalLog {
  readonly #arrivals = new Float64Array(size).fill(NaN);
  /** Of the first packet that was not told, and of the newest, extended; -1 before the first. */
  #from = -1;
  #newest = -1;
  #feedbackCount = 0;
  #mediaSsrc = 0;

  /** One packet with this transport-wide sequence number came. `now` in ms. */
  received(sequence: number, ssrc: number, now: number): void {
    this.#mediaSsrc = ssrc;
    if (this.#newest < 0) {
      // Away from zero, so that nothing ever is negative.
      this.#newest = 0x1_0000 + sequence - 1;
      this.#from = this.#newest + 1;
    }
    const ahead = ((sequence - this.#newest) << 16) >> 16;
    const extended = this.#newest + ahead;
    if (ahead > 0) {
      if (ahead >= size) this.#restart(extended);
      else for (let i = this.#newest + 1; i < extended; i++) this.#arrivals[i & mask] = NaN;
      this.#newest = extended;
      // What could not be told in time is forgotten.
      this.#from = Math.max(this.#from, extended - size + 1);
    } else {
      if (ahead < -maxLate || !Number.isNaN(this.#arrivals[extended & mask])) return;
      this.#from = Math.min(this.#from, extended);
    }
    this.#arrivals[extended & mask] = now;
  }

  /** Packets that were not told yet, lost ones among them. */
  get untold(): number {
    return this.#newest < 0 ? 0 : this.#newest - this.#from + 1;
  }

  /**
   * This process was held up between these moments, so that what it has taken since came at a time that it cannot know: it is
   * told as if it had come evenly. Otherwise every such pause would look like a queue on the way.
   */
  spread(from: number, to: number): void {
    let count = 0;
    for (let i = this.#from; i <= this.#newest; i++) if (!Number.isNaN(this.#arrivals[i & mask])) count++;
    let at = 0;
    for (let i = this.#from; i <= this.#newest; i++) {
      if (!Number.isNaN(this.#arrivals[i & mask])) this.#arrivals[i & mask] = from + ((to - from) * ++at) / count;
    }
  }

  /** The next feedback packet; null when there is nothing to tell. Call it until it is null. */
  feedback(senderSsrc: number): Uint8Array | null {
    if (this.untold <= 0) return null;
    const arrivals: number[] = [];
    let any = false;
    for (let i = this.#from; i <= this.#newest; i++) {
      const arrival = this.#arrivals[i & mask] as number;
      any ||= !Number.isNaN(arrival);
      arrivals.push(arrival);
    }
    if (!any) return null;
    const base = this.#from & 0xffff;
    const { packet, count } = encodeTransportFeedback(senderSsrc, this.#mediaSsrc, this.#feedbackCount, base, arrivals);
    this.#feedbackCount = (this.#feedbackCount + 1) & 0xff;
    this.#from += count;
    return packet;
  }

  #restart(extended: number): void {
    this.#arrivals.fill(NaN);
    this.#from = extended;
  }
}
