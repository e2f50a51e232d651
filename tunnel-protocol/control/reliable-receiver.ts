/** The receiving half of the reliable message stream: fragments in, whole texts out, once each and in order. */
import { concatBytes } from '../bytes.ts';
import type { SignalFragment } from './control-frames.ts';
import { decodeUtf8 } from './control-frames.ts';
import type { ControlErrorReason } from './errors.ts';
import { controlLimits } from './limits.ts';

export interface ReceivedMessage {
  readonly text: string;
  /** Sequence of its last fragment. */
  readonly through: number;
  readonly bytes: number;
}

export class ReliableReceiver {
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #received = 0;
  #applied = 0;
  #unappliedBytes = 0;
  #acknowledged = 0;
  #unackedBytes = 0;
  #duplicates = 0;

  /** What acknowledgements, `open` and `welcome` tell: the last sequence whose message the application took. */
  acknowledge(): number {
    this.#acknowledged = this.#applied;
    this.#unackedBytes = 0;
    return this.#applied;
  }

  /** Of messages that the application took and the peer was not told of. */
  get unackedBytes(): number {
    return this.#unackedBytes;
  }

  get unackedFragments(): number {
    return this.#applied - this.#acknowledged;
  }

  /** Payload bytes held, of whole and partial messages. */
  get heldBytes(): number {
    return this.#unappliedBytes;
  }

  get duplicateFragments(): number {
    return this.#duplicates;
  }

  /** A message when this fragment completes one, else null. An error leaves everything as it was. */
  receive(fragment: SignalFragment): ReceivedMessage | ControlErrorReason | null {
    const { sequence, payload } = fragment;
    if (sequence <= this.#received) {
      this.#duplicates += 1;
      return null;
    }
    if (sequence !== this.#received + 1) return 'sequence-gap';
    if (fragment.first !== (this.#parts.length === 0)) return 'bad-fragment';
    const bytes = this.#partBytes + payload.length;
    if (bytes > controlLimits.maxMessageBytes) return 'message-too-large';
    if (this.#unappliedBytes + payload.length > controlLimits.maxUnackedBytes) return 'queue-full';
    if (sequence - this.#applied > controlLimits.maxUnackedFragments) return 'queue-full';
    if (!fragment.last) {
      this.#parts.push(payload.slice());
      this.#count(sequence, payload.length, bytes);
      return null;
    }
    const text = decodeUtf8(this.#parts.length === 0 ? payload : concatBytes([...this.#parts, payload]));
    if (text === null) return 'bad-text';
    this.#parts = [];
    this.#count(sequence, payload.length, 0);
    return { text, through: sequence, bytes };
  }

  /** The application took this message; messages are taken in order. */
  apply(message: ReceivedMessage): void {
    this.#applied = message.through;
    this.#unappliedBytes -= message.bytes;
    this.#unackedBytes += message.bytes;
  }

  #count(sequence: number, bytes: number, partBytes: number): void {
    this.#received = sequence;
    this.#unappliedBytes += bytes;
    this.#partBytes = partBytes;
  }
}
