/** Reads a handshake message's body front to back; a read past the end makes the whole reading bad. */
import { u16, u24 } from '../bytes.ts';

export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #bad = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** True when everything was read, and nothing past the end. */
  complete(): boolean {
    return !this.#bad && this.#at === this.#bytes.length;
  }

  /** True while there is more and nothing went wrong: the condition of loops. */
  more(): boolean {
    return !this.#bad && this.#at < this.#bytes.length;
  }

  u8(): number {
    const at = this.#advance(1);
    return at < 0 ? 0 : (this.#bytes[at] as number);
  }

  u16(): number {
    const at = this.#advance(2);
    return at < 0 ? 0 : u16(this.#bytes, at);
  }

  u24(): number {
    const at = this.#advance(3);
    return at < 0 ? 0 : u24(this.#bytes, at);
  }

  /** A view, borrowed. */
  bytes(length: number): Uint8Array {
    const at = this.#advance(length);
    return at < 0 ? new Uint8Array(0) : this.#bytes.subarray(at, at + length);
  }

  /** A list of 16-bit values whose byte length was read before. */
  u16List(byteLength: number): number[] {
    if (byteLength % 2 !== 0) this.#bad = true;
    const list = new Reader(this.bytes(byteLength));
    const values: number[] = [];
    while (list.more()) values.push(list.u16());
    return values;
  }

  #advance(length: number): number {
    const at = this.#at;
    if (this.#bad || this.#bytes.length - at < length) {
      this.#bad = true;
      return -1;
    }
    this.#at += length;
    return at;
  }
}
