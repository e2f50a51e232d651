/** The sending half of the reliable message stream: fragments are kept until the peer acknowledged them. */
import type { SignalFragment } from './control-frames.ts';
import type { ControlErrorReason } from './errors.ts';
import { controlLimits } from './limits.ts';

interface KeptFragment {
  readonly first: boolean;
  readonly last: boolean;
  readonly payload: Uint8Array;
  readonly queuedAt: number;
}

export class ReliableSender {
  /** The fragment at index i has sequence `#acked + 1 + i`. */
  readonly #fragments: KeptFragment[] = [];
  #acked = 0;
  /** Index of the next fragment to send on this connection. */
  #next = 0;
  /** Highest sequence handed out on any connection: an acknowledgement beyond it is a lie. */
  #everSent = 0;
  #queuedBytes = 0;
  #inFlightBytes = 0;
  #resent = 0;

  /** Payload bytes not acknowledged, sent or not. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** When the oldest unacknowledged fragment was queued; null when there is none. */
  get oldestQueuedAt(): number | null {
    return this.#fragments[0]?.queuedAt ?? null;
  }

  /** Nothing waits to be sent on this connection. */
  get allSent(): boolean {
    return this.#next === this.#fragments.length;
  }

  get resentFragments(): number {
    return this.#resent;
  }

  /** Takes over the bytes of one message. False, and nothing queued, when empty or over a limit. */
  enqueue(message: Uint8Array, now: number): boolean {
    const size = controlLimits.maxFragmentBytes;
    const count = Math.ceil(message.length / size);
    if (count === 0 || message.length > controlLimits.maxMessageBytes) return false;
    if (this.#queuedBytes + message.length > controlLimits.maxUnackedBytes) return false;
    if (this.#fragments.length + count > controlLimits.maxUnackedFragments) return false;
    if (this.#acked + this.#fragments.length + count > controlLimits.maxSequence) return false;
    for (let i = 0; i < count; i++) {
      const payload = message.subarray(i * size, (i + 1) * size);
      this.#fragments.push({ first: i === 0, last: i === count - 1, payload, queuedAt: now });
    }
    this.#queuedBytes += message.length;
    return true;
  }

  /** A new connection: what is not acknowledged will be sent again. */
  restart(): void {
    this.#next = 0;
    this.#inFlightBytes = 0;
  }

  /** The peer's `open` or `welcome` told the last sequence it received. Out of range, one end forgot the session. */
  resumeAfter(sequence: number): ControlErrorReason | null {
    if (sequence < this.#acked || sequence > this.#everSent) return 'state-lost';
    return this.acknowledge(sequence);
  }

  /** Cumulative; an older acknowledgement changes nothing. */
  acknowledge(sequence: number): ControlErrorReason | null {
    if (sequence > this.#everSent) return 'ack-ahead';
    const count = sequence - this.#acked;
    if (count <= 0) return null;
    const released = this.#fragments.splice(0, count);
    for (let i = 0; i < released.length; i++) {
      const bytes = (released[i] as KeptFragment).payload.length;
      this.#queuedBytes -= bytes;
      if (i < this.#next) this.#inFlightBytes -= bytes;
    }
    this.#next = Math.max(0, this.#next - count);
    this.#acked = sequence;
    return null;
  }

  /**
   * The next fragment for this connection; null when there is none, or the window is full. The window is never smaller
   * than a message, so a peer that acknowledges whole messages only cannot block it.
   */
  take(): SignalFragment | null {
    const fragment = this.#fragments[this.#next];
    if (fragment === undefined || this.#inFlightBytes >= controlLimits.inFlightBytes) return null;
    this.#next += 1;
    this.#inFlightBytes += fragment.payload.length;
    const sequence = this.#acked + this.#next;
    if (sequence <= this.#everSent) this.#resent += 1;
    else this.#everSent = sequence;
    return { type: 'signal', first: fragment.first, last: fragment.last, sequence, payload: fragment.payload };
  }
}
