/** One TCP or TLS connection of a client: messages out are gathered and written once per turn of the event loop. */
import type { TransportAddress } from '../tunnel-protocol/index.ts';
import type { Allocation } from './allocation.ts';
import { ClientLink } from './client-link.ts';

/** A connection whose socket the gateway owns. */
export interface TurnStream {
  readonly kind: 'turn-tcp' | 'turn-tls';
  readonly remote: TransportAddress;
  readonly local: TransportAddress;
  /** The bytes are given away. */
  write(bytes: Uint8Array): void;
  /** Bytes written that the system has not taken yet. */
  bufferedBytes(): number;
  /** Ends the connection; `closed` of the stream's handler need not be called any more, but may. */
  close(): void;
}

const smallestBatchBytes = 2048;
const largestBatchBytes = 65_536;

/** Collects the connections that have something to write, and writes all of them in one go. */
export class FlushQueue {
  #dirty: StreamLink[] = [];
  #spare: StreamLink[] = [];
  readonly #run = (): void => {
    const links = this.#dirty;
    this.#dirty = this.#spare;
    for (const link of links) link.flush();
    links.length = 0;
    this.#spare = links;
  };

  add(link: StreamLink): void {
    if (this.#dirty.length === 0) setImmediate(this.#run);
    this.#dirty.push(link);
  }
}

export class StreamLink extends ClientLink {
  readonly kind: 'turn-tcp' | 'turn-tls';
  readonly padded = true;
  readonly stream: TurnStream;
  readonly #queue: FlushQueue;
  readonly #backlogBytes: number;
  #length = 0;
  #queued = false;
  #closed = false;
  #nextCapacity = smallestBatchBytes;

  constructor(stream: TurnStream, queue: FlushQueue, backlogBytes: number) {
    super(stream.remote, stream.local);
    this.kind = stream.kind;
    this.stream = stream;
    this.#queue = queue;
    this.#backlogBytes = backlogBytes;
  }

  open(length: number): boolean {
    if (this.#closed) return false;
    if (this.#length + length > this.bytes.length) {
      if (this.#length > 0) this.flush();
      const capacity = Math.max(length, this.#nextCapacity);
      this.bytes = Buffer.allocUnsafeSlow(capacity);
    }
    if (this.#length === 0 && this.stream.bufferedBytes() > this.#backlogBytes) return false;
    this.at = this.#length;
    this.#length += length;
    return true;
  }

  commit(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#queue.add(this);
  }

  sendMessage(message: Uint8Array): void {
    if (!this.open(message.length)) return;
    this.bytes.set(message, this.at);
    this.commit();
  }

  flush(): void {
    this.#queued = false;
    const length = this.#length;
    if (length === 0 || this.#closed) return;
    const written = this.bytes.subarray(0, length);
    // The rest of the memory serves the next batch; what is written is given away.
    this.bytes = this.bytes.subarray(length);
    this.#length = 0;
    if (length * 2 > this.#nextCapacity) this.#nextCapacity = Math.min(largestBatchBytes, this.#nextCapacity * 2);
    this.stream.write(written);
  }

  attach(allocation: Allocation): void {
    this.allocation = allocation;
  }

  detach(): void {
    this.allocation = null;
  }

  /** Writes what is left and ends the connection. */
  end(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.stream.close();
  }

  /** The connection is gone. */
  lost(): void {
    this.#closed = true;
  }
}
