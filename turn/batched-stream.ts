/** A connection that can only be written to: messages are gathered, and written once per turn of the event loop. */
import type { TransportAddress } from '../tunnel-protocol/index.ts';
import type { TurnStream } from './stream-link.ts';

export interface BatchedStreamOptions {
  readonly kind: 'turn-tcp' | 'turn-tls';
  readonly remote: TransportAddress;
  readonly local: TransportAddress;
  /** As {@link TurnStream.whole}. */
  readonly whole?: boolean;
  /** The bytes are given away. */
  readonly write: (bytes: Uint8Array) => void;
  /** Bytes written that the system has not taken yet. */
  readonly bufferedBytes: () => number;
  /** Beyond this, messages are dropped. */
  readonly backlogBytes: number;
  readonly close: () => void;
}

const smallestBatchBytes = 2048;
const largestBatchBytes = 65_536;

export class BatchedStream implements TurnStream {
  readonly kind: 'turn-tcp' | 'turn-tls';
  readonly remote: TransportAddress;
  readonly local: TransportAddress;
  readonly whole: boolean;
  bytes: Uint8Array = new Uint8Array(0);
  at = 0;
  readonly #options: BatchedStreamOptions;
  #length = 0;
  #queued = false;
  #closed = false;
  #nextCapacity = smallestBatchBytes;

  constructor(options: BatchedStreamOptions) {
    this.kind = options.kind;
    this.remote = options.remote;
    this.local = options.local;
    this.whole = options.whole === true;
    this.#options = options;
  }

  open(length: number): boolean {
    if (this.#closed) return false;
    if (this.#length + length > this.bytes.length) {
      if (this.#length > 0) this.flush();
      this.bytes = Buffer.allocUnsafeSlow(Math.max(length, this.#nextCapacity));
    }
    if (this.#length === 0 && this.#options.bufferedBytes() > this.#options.backlogBytes) return false;
    this.at = this.#length;
    this.#length += length;
    return true;
  }

  commit(): void {
    if (this.#queued) return;
    this.#queued = true;
    queue.add(this);
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
    this.#options.write(written);
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#options.close();
  }

  /** The connection is gone: nothing more is written. */
  lost(): void {
    this.#closed = true;
  }
}

/** Collects the connections that have something to write, and writes all of them in one go. */
class FlushQueue {
  /** Those that have something to write: the first {@link #count} entries. */
  readonly #streams: (BatchedStream | null)[] = [];
  #count = 0;
  readonly #run = (): void => {
    // Whatever is written meanwhile is added behind, and served as well.
    for (let i = 0; i < this.#count; i++) {
      this.#streams[i]?.flush();
      this.#streams[i] = null;
    }
    this.#count = 0;
  };

  add(stream: BatchedStream): void {
    this.#streams[this.#count++] = stream;
    if (this.#count === 1) setImmediate(this.#run);
  }
}

const queue = new FlushQueue();
