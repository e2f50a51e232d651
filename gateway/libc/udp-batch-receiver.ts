/** Receives whatever waits in a socket by one recvmmsg(2). */
import type { Socket } from 'node:dgram';
import { maxDatagramBytes } from '../../tunnel-protocol/index.ts';
import type { Libc } from './libc.ts';
import { MessageVector } from './message-vector.ts';
import type { ReadySet } from './ready-set.ts';
import type { UdpAddressCache } from './udp-address.ts';
import { newReceiveCounters, type SocketDescriptor } from './udp-socket-handle.ts';
import type { UdpHandler, UdpReceiver } from './udp.ts';

const batch = 64;

/** The memory that all receivers of a process share: no handler ever runs within another. */
export class ReceiveVector extends MessageVector {
  constructor(libc: Libc) {
    super(libc, batch, batch * maxDatagramBytes);
    for (let i = 0; i < batch; i++) this.setRange(i, i * maxDatagramBytes, maxDatagramBytes);
  }
}

export interface BatchReceiverOptions {
  readonly libc: Libc;
  readonly readySet: ReadySet;
  readonly vector: ReceiveVector;
  readonly addresses: UdpAddressCache;
  readonly handler: UdpHandler;
  readonly onOversized: () => void;
}

/**
 * Bytes given to the handler are borrowed until it returns: the next batch overwrites them. One call of recvmmsg per
 * turn of the event loop, so that a flood on one socket does not hold up the others.
 */
export class UdpBatchReceiver implements UdpReceiver {
  readonly kind = 'batch';
  readonly counters = newReceiveCounters();
  readonly #options: BatchReceiverOptions;
  readonly #socket: Socket;
  readonly #descriptor: SocketDescriptor;
  readonly #key: number;
  #closed = false;
  readonly #onClosed = (): void => {
    this.close();
  };

  private constructor(socket: Socket, descriptor: SocketDescriptor, options: BatchReceiverOptions) {
    this.#socket = socket;
    this.#descriptor = descriptor;
    this.#options = options;
    this.#key = options.readySet.add(descriptor.fd, () => {
      this.#drain();
    });
  }

  /** Takes the socket away from Node; null where that cannot be done. */
  static create(socket: Socket, descriptor: SocketDescriptor, options: BatchReceiverOptions): UdpBatchReceiver | null {
    descriptor.pause();
    const receiver = new UdpBatchReceiver(socket, descriptor, options);
    if (receiver.#key >= 0) {
      socket.once('close', receiver.#onClosed);
      return receiver;
    }
    descriptor.resume();
    return null;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.readySet.remove(this.#key, this.#descriptor.fd);
    this.#socket.off('close', this.#onClosed);
    this.#descriptor.resume();
  }

  #drain(): void {
    const { libc, vector, addresses, handler, onOversized } = this.#options;
    // The socket may have been closed without a word; its number may be another file's by now.
    const { fd } = this.#descriptor;
    if (fd < 0) {
      this.close();
      return;
    }
    const count = libc.receiveMessages(fd, vector.headerPointer(0), batch);
    this.counters.calls++;
    for (let i = 0; i < count; i++) {
      this.counters.received++;
      const length = vector.received(i);
      const from = addresses.fromSockaddr(vector.memory, vector.addressAt(i));
      vector.rearm(i);
      if (length < 0) {
        this.counters.oversized++;
        onOversized();
      } else if (!this.#closed) {
        const at = i * maxDatagramBytes;
        handler(vector.data.subarray(at, at + length), from);
      }
    }
  }
}
