/** What may be sent to a subscriber: marks each packet, learns from its feedback, and says what the path takes. */
import { putU16 } from '../../tunnel-protocol/index.ts';
import { SendEstimate } from '../congestion/send-estimate.ts';

/** A REMB is believed for so long, in ms. */
const rembHoldMs = 5000;

export class SendBudget {
  /** Made with the first packet that is marked: most participants of a large room are sent little. */
  #estimate: SendEstimate | null = null;
  #remb = Infinity;
  #rembAt = -Infinity;

  /** Whether padding is to fill what is sent. */
  get filling(): boolean {
    return this.#estimate?.prober.filling === true;
  }

  /** Writes the transport-wide sequence number of a packet of `length` bytes at `offset`. */
  mark(bytes: Uint8Array, offset: number, length: number, now: number): void {
    this.#estimate ??= new SendEstimate();
    putU16(bytes, offset, this.#estimate.sent(length, now));
  }

  /** A transport-wide feedback packet. False when it is none. */
  feedback(bytes: Uint8Array, now: number): boolean {
    return this.#estimate === null || this.#estimate.feedback(bytes, now);
  }

  /** Receiver estimated maximum bitrate, of peers without the other kind of feedback. */
  remb(bitrate: number, now: number): void {
    this.#remb = bitrate;
    this.#rembAt = now;
  }

  /** In bit/s; null while nothing is known. */
  bitrate(now: number): number | null {
    const remb = now - this.#rembAt <= rembHoldMs ? this.#remb : Infinity;
    const estimate = this.#estimate?.known === true ? this.#estimate.bitrate : Infinity;
    const least = Math.min(remb, estimate);
    return least === Infinity ? null : least;
  }

  /** More than this is wanted, in bit/s: finds out whether the path takes it. */
  want(bitrate: number, now: number): void {
    if (this.#estimate?.known === true) this.#estimate.probe(bitrate, now);
  }

  /** Bytes of padding to send now. */
  padding(now: number): number {
    return this.#estimate?.prober.due(now) ?? 0;
  }

  tick(now: number): void {
    this.#estimate?.tick(now);
  }

  /** The path is another one: what was known of the one before says nothing. */
  reset(): void {
    this.#estimate = null;
    this.#remb = Infinity;
  }
}
