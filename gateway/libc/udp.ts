/** Sending and receiving on a bound dgram socket: by batches where libc can be called, by dgram itself elsewhere. */
import type { RemoteInfo, Socket } from 'node:dgram';
import { maxDatagramBytes } from '../../tunnel-protocol/index.ts';
import type { Libc } from './libc.ts';
import { sharedOf } from './shared.ts';
import { UdpAddressCache, type UdpAddress, type UdpFamily } from './udp-address.ts';
import { UdpBatchReceiver } from './udp-batch-receiver.ts';
import { UdpBatchSender } from './udp-batch-sender.ts';
import { familyOf, newReceiveCounters, newSendCounters, SocketDescriptor } from './udp-socket-handle.ts';

export interface UdpSendCounters {
  /** Datagrams that the kernel took. */
  sent: number;
  /** System calls, as far as they are made here. */
  calls: number;
  /** How often the socket's buffer was full; what was queued went later. */
  blocked: number;
  /** Datagrams lost because the kernel had no memory for them (ENOBUFS). */
  noBuffers: number;
  /** Datagrams refused because the queue was full. */
  queueFull: number;
  /** Datagrams lost for another reason: no route, forbidden, socket closed. */
  failed: number;
  /** Segmented messages that the kernel refused, and that went as single datagrams. */
  unsegmented: number;
}

export interface UdpReceiveCounters {
  received: number;
  calls: number;
  /** Longer than {@link maxDatagramBytes}, and dropped; counted in `received` as well. */
  oversized: number;
}

/** `kind` says which way was taken. */
export interface UdpSender {
  readonly kind: 'batch' | 'plain';
  readonly counters: UdpSendCounters;
  /** The bytes are given away. False: the datagram is lost, and counted. It leaves at the end of this turn, or by `flush`. */
  send(datagram: Uint8Array, to: UdpAddress): boolean;
  /** Where the datagram that {@link open} made room for is to be written. */
  readonly bytes: Uint8Array;
  readonly at: number;
  /** Instead of `send`: makes room for one datagram of that length. False: it is lost, and counted. */
  open(length: number): boolean;
  /** Sends what was written since {@link open}, as `send` does. */
  commit(to: UdpAddress): void;
  flush(): void;
  /** Before the socket is closed. Idempotent. */
  close(): void;
}

export interface UdpReceiver {
  readonly kind: 'batch' | 'plain';
  readonly counters: UdpReceiveCounters;
  /** Stops listening to the socket, and leaves it open. */
  close(): void;
}

/** The bytes are borrowed until the call returns; the address is not. */
export type UdpHandler = (datagram: Uint8Array, from: UdpAddress) => void;

export interface UdpSenderOptions {
  /** Hears of datagrams that were lost after `send` had taken them; they are in `counters` as well. */
  readonly onLost?: (count: number) => void;
  /** Bytes that may wait for the socket to take them; half a megabyte unless said otherwise. */
  readonly maxWaitingBytes?: number;
}

const defaultWaitingBytes = 524_288;

/** The socket must be bound. */
export function createUdpSender(socket: Socket, libc: Libc | null, options: UdpSenderOptions = {}): UdpSender {
  const { onLost = ignore, maxWaitingBytes = defaultWaitingBytes } = options;
  const descriptor = libc === null ? null : SocketDescriptor.of(socket);
  if (libc === null || descriptor === null) return new PlainSender(socket, onLost, maxWaitingBytes);
  return new UdpBatchSender(descriptor, libc, sharedOf(libc).queue, { onLost, maxWaitingBytes });
}

/**
 * The socket must be bound, and have no other listener for messages. `onOversized` hears of each datagram that was
 * dropped for its length.
 */
export function createUdpReceiver(
  socket: Socket,
  libc: Libc | null,
  handler: UdpHandler,
  onOversized: () => void = ignore,
): UdpReceiver {
  const family = familyOf(socket);
  const descriptor = libc === null ? null : SocketDescriptor.of(socket);
  if (libc !== null && descriptor !== null) {
    const { readySet, vector, addresses } = sharedOf(libc);
    const options = { libc, readySet, vector, addresses: addresses[family], handler, onOversized };
    const receiver = UdpBatchReceiver.create(socket, descriptor, options);
    if (receiver !== null) return receiver;
  }
  return new PlainReceiver(socket, family, handler, onOversized);
}

class PlainSender implements UdpSender {
  readonly kind = 'plain';
  readonly counters = newSendCounters();
  readonly at = 0;
  bytes = nothing;
  readonly #socket: Socket;
  readonly #onLost: (count: number) => void;
  readonly #maxWaitingBytes: number;
  #closed = false;
  readonly #sent = (error: NodeJS.ErrnoException | null): void => {
    if (error === null) {
      this.counters.sent++;
      return;
    }
    if (error.code === 'ENOBUFS') this.counters.noBuffers++;
    else this.counters.failed++;
    this.#onLost(1);
  };

  constructor(socket: Socket, onLost: (count: number) => void, maxWaitingBytes: number) {
    this.#socket = socket;
    this.#onLost = onLost;
    this.#maxWaitingBytes = maxWaitingBytes;
  }

  send(datagram: Uint8Array, to: UdpAddress): boolean {
    if (!this.#takes(datagram.length)) return false;
    this.counters.calls++;
    this.#socket.send(datagram, to.port, to.socketText, this.#sent);
    return true;
  }

  open(length: number): boolean {
    if (!this.#takes(length)) return false;
    this.bytes = Buffer.allocUnsafe(length);
    return true;
  }

  commit(to: UdpAddress): void {
    this.send(this.bytes, to);
  }

  flush(): void {
    // dgram has sent everything already.
  }

  close(): void {
    this.#closed = true;
  }

  /** What the system does not take at once waits in Node. */
  #takes(length: number): boolean {
    if (this.#closed) this.counters.failed++;
    else if (this.#socket.getSendQueueSize() + length <= this.#maxWaitingBytes) return true;
    else this.counters.queueFull++;
    return false;
  }
}

const nothing: Uint8Array = new Uint8Array(0);

function ignore(): void {
  // It is counted.
}

class PlainReceiver implements UdpReceiver {
  readonly kind = 'plain';
  readonly counters = newReceiveCounters();
  readonly #socket: Socket;
  readonly #onMessage: (datagram: Uint8Array, remote: RemoteInfo) => void;

  constructor(socket: Socket, family: UdpFamily, handler: UdpHandler, onOversized: () => void) {
    this.#socket = socket;
    const addresses = new UdpAddressCache(family);
    this.#onMessage = (datagram, remote) => {
      this.counters.received++;
      this.counters.calls++;
      if (datagram.length > maxDatagramBytes) {
        this.counters.oversized++;
        onOversized();
      } else handler(datagram, addresses.fromText(remote.address, remote.port));
    };
    socket.on('message', this.#onMessage);
  }

  close(): void {
    this.#socket.off('message', this.#onMessage);
  }
}
