/** Puts handshake messages together from fragments and gives them out in order, each once. */
import {
  handshakeHeaderBytes,
  maxHandshakeBytes,
  putFragmentHeader,
  type HandshakeFragment,
} from './handshake-message.ts';

/** A flight has at most five messages; one more for a peer that runs ahead. */
const maxMessagesAhead = 6;
const maxBufferedBytes = 2 * maxHandshakeBytes;

/** `old`: the message was given out already, so its sender retransmits. `overflow`: more than may be held. */
export type FragmentResult = 'stored' | 'old' | 'overflow';

interface Partial {
  readonly type: number;
  /** Header and body, as if it had never been fragmented: what the transcript takes (RFC 6347 section 4.2.6). */
  readonly message: Uint8Array;
  /** 1 for every byte of the body that has arrived. */
  readonly arrived: Uint8Array;
  missing: number;
}

export class HandshakeReassembler {
  readonly #partials = new Map<number, Partial>();
  #bufferedBytes = 0;
  #next = 0;

  /** The message number that is given out next. */
  get next(): number {
    return this.#next;
  }

  /** Copies the fragment. */
  add(fragment: HandshakeFragment): FragmentResult {
    if (fragment.sequence < this.#next) return 'old';
    if (fragment.sequence >= this.#next + maxMessagesAhead) return 'overflow';
    const known = this.#partials.get(fragment.sequence);
    if (known !== undefined && known.missing === 0) return 'stored';
    const fits = known?.type === fragment.type && known.arrived.length === fragment.length;
    const partial = fits ? known : this.#begin(fragment);
    if (partial === null) return 'overflow';
    partial.message.set(fragment.body, handshakeHeaderBytes + fragment.offset);
    for (let at = fragment.offset; at < fragment.offset + fragment.body.length; at++) {
      if (partial.arrived[at] === 0) {
        partial.arrived[at] = 1;
        partial.missing--;
      }
    }
    return 'stored';
  }

  /** The next whole message, header and body; the caller's to keep. Null while it is incomplete. */
  take(): Uint8Array | null {
    const partial = this.#partials.get(this.#next);
    if (partial === undefined || partial.missing > 0) return null;
    this.#forget(this.#next);
    this.#next++;
    return partial.message;
  }

  /** Takes back what was given out from `sequence` on: it turned out to be worthless, so a better copy is awaited. */
  rewind(sequence: number): void {
    for (const held of [...this.#partials.keys()]) if (held >= sequence) this.#forget(held);
    this.#next = sequence;
  }

  /** A fragment that contradicts what is known of its message starts it anew: either may be forged. */
  #begin(fragment: HandshakeFragment): Partial | null {
    this.#forget(fragment.sequence);
    if (this.#bufferedBytes + fragment.length > maxBufferedBytes) return null;
    const { type, length, sequence } = fragment;
    const message = new Uint8Array(handshakeHeaderBytes + length);
    putFragmentHeader(message, 0, type, length, sequence, 0, length);
    const partial = { type, message, arrived: new Uint8Array(length), missing: length };
    this.#partials.set(sequence, partial);
    this.#bufferedBytes += length;
    return partial;
  }

  #forget(sequence: number): void {
    const partial = this.#partials.get(sequence);
    if (partial === undefined) return;
    this.#partials.delete(sequence);
    this.#bufferedBytes -= partial.arrived.length;
  }
}
