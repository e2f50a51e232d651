/** A queue of datagrams that knows its bytes. Pushing and shifting allocate nothing once the array has grown. */
export class DatagramFifo {
  readonly #items: (Uint8Array | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  push(datagram: Uint8Array): void {
    this.#items.push(datagram);
    this.#bytes += datagram.length;
  }

  peek(): Uint8Array | undefined {
    return this.#items[this.#head];
  }

  shift(): Uint8Array | undefined {
    const datagram = this.#items[this.#head];
    if (datagram === undefined) return undefined;
    this.#items[this.#head++] = undefined;
    this.#bytes -= datagram.length;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= compactAt) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return datagram;
  }
}

/** A queue that never empties would grow its array for ever. */
const compactAt = 1024;
