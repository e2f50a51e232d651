/** One socket's datagrams in the queue of all, and what is kept of them while the socket is full. */
import { errno, socketOption, type Libc } from './libc.ts';
import { maxMessageBytes, type SendLane, type SendQueue } from './send-queue.ts';
import type { UdpAddress } from './udp-address.ts';
import { newSendCounters, type SocketDescriptor } from './udp-socket-handle.ts';
import type { UdpSender, UdpSenderOptions } from './udp.ts';

const retryMs = 1;

interface Kept {
  readonly datagram: Uint8Array;
  readonly to: UdpAddress;
}

export class UdpBatchSender implements UdpSender, SendLane {
  readonly kind = 'batch';
  readonly stream = false;
  readonly counters = newSendCounters();
  first = -1;
  last = -1;
  segmenting: boolean;
  readonly #descriptor: SocketDescriptor;
  readonly #queue: SendQueue;
  readonly #options: Required<UdpSenderOptions>;
  /** In order; nothing of this socket is in the queue while there are any. */
  #kept: Kept[] = [];
  #keptBytes = 0;
  /** Room for a datagram while others are kept. */
  #own: Uint8Array | null = null;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  /** The socket must be bound. */
  constructor(descriptor: SocketDescriptor, libc: Libc, queue: SendQueue, options: Required<UdpSenderOptions>) {
    this.#descriptor = descriptor;
    this.#queue = queue;
    this.#options = options;
    // Kernels before 4.18 do not know the option; setting it to 0 changes nothing.
    this.segmenting = libc.setOption(descriptor.fd, socketOption.udpSegment, 0) === 0;
  }

  get bytes(): Uint8Array {
    return this.#own ?? this.#queue.bytes;
  }

  get at(): number {
    return this.#own === null ? this.#queue.at : 0;
  }

  send(datagram: Uint8Array, to: UdpAddress): boolean {
    if (!this.open(datagram.length)) return false;
    this.bytes.set(datagram, this.at);
    this.commit(to);
    return true;
  }

  open(length: number): boolean {
    if (this.#closed || length > maxMessageBytes) {
      this.counters.failed++;
      return false;
    }
    if (!this.#isFull()) {
      this.#own = null;
      this.#queue.open(length);
      // Making room may have filled the socket.
      if (!this.#isFull()) return true;
    }
    if (this.#keptBytes + length > this.#options.maxWaitingBytes) {
      this.counters.queueFull++;
      return false;
    }
    this.#own = Buffer.allocUnsafe(length);
    return true;
  }

  commit(to: UdpAddress): void {
    if (this.#own === null) {
      this.#queue.commit(this, to);
      return;
    }
    this.#kept.push({ datagram: this.#own, to });
    this.#keptBytes += this.#own.length;
  }

  flush(): void {
    this.#queue.flushLane(this);
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#kept.length > 0) this.lost(this.#kept.length, -1);
    this.#kept = [];
  }

  descriptor(): number {
    return this.#closed ? -1 : this.#descriptor.fd;
  }

  called(): void {
    this.counters.calls++;
  }

  sent(count: number): void {
    this.counters.sent += count;
  }

  lost(count: number, code: number): void {
    if (code === errno.ENOBUFS) this.counters.noBuffers += count;
    else this.counters.failed += count;
    this.#options.onLost(count);
  }

  unsegmented(): void {
    this.counters.unsegmented++;
  }

  blocked(): void {
    this.counters.blocked++;
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#resend();
    }, retryMs);
  }

  keep(datagram: Uint8Array, to: UdpAddress | null): void {
    if (to === null || this.#keptBytes + datagram.length > this.#options.maxWaitingBytes) {
      this.counters.queueFull++;
      this.#options.onLost(1);
      return;
    }
    // A copy by the constructor: the queue's memory is used again.
    this.#kept.push({ datagram: new Uint8Array(datagram), to });
    this.#keptBytes += datagram.length;
  }

  #isFull(): boolean {
    return this.#kept.length > 0;
  }

  #resend(): void {
    const kept = this.#kept;
    this.#kept = [];
    this.#keptBytes = 0;
    // What does not go now is kept again, in order: by the queue, or, once it has said so, here.
    for (const { datagram, to } of kept) this.send(datagram, to);
    this.flush();
  }
}
