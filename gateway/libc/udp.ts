/** Sending and receiving on a bound dgram socket: by batches where libc can be called, by dgram itself elsewhere. */
import type { RemoteInfo, Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { maxDatagramBytes } from '../../tunnel-protocol/index.ts';
import type { Libc } from './libc.ts';
import { UdpAddressCache, type UdpAddress, type UdpFamily } from './udp-address.ts';
import { UdpBatchReceiver } from './udp-batch-receiver.ts';
import { UdpBatchSender } from './udp-batch-sender.ts';

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

/** The socket must be bound. */
export function createUdpSender(socket: Socket, libc: Libc | null): UdpSender {
  const family = familyOf(socket);
  return libc === null || descriptorOf(socket) < 0 ? new PlainSender(socket) : new UdpBatchSender(socket, family, libc);
}

/** The socket must be bound, and have no other listener for messages. */
export function createUdpReceiver(socket: Socket, libc: Libc | null, handler: UdpHandler): UdpReceiver {
  const family = familyOf(socket);
  return libc === null || descriptorOf(socket) < 0
    ? new PlainReceiver(socket, family, handler)
    : new UdpBatchReceiver(socket, family, libc, handler);
}

export function familyOf(socket: Socket): UdpFamily {
  return isIPv6(socket.address().address) ? 'udp6' : 'udp4';
}

/** The number of the socket's descriptor; -1 when it has none, or no more. */
export function descriptorOf(socket: Socket): number {
  return stateOf(socket)?.handle?.fd ?? -1;
}

interface SocketState {
  readonly handle?: { readonly fd?: number } | null;
}

/** Node keeps the handle behind a symbol; its old public name, `_handle`, prints a warning of deprecation. */
function stateOf(socket: Socket): SocketState | null {
  const bySymbol = socket as unknown as Record<symbol, SocketState | undefined>;
  const known = stateSymbol === null ? undefined : bySymbol[stateSymbol];
  if (known !== undefined) return known;
  stateSymbol = Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === 'state symbol') ?? null;
  return stateSymbol === null ? null : (bySymbol[stateSymbol] ?? null);
}

let stateSymbol: symbol | null = null;

export function newSendCounters(): UdpSendCounters {
  return { sent: 0, calls: 0, blocked: 0, noBuffers: 0, queueFull: 0, failed: 0, unsegmented: 0 };
}

export function newReceiveCounters(): UdpReceiveCounters {
  return { received: 0, calls: 0, oversized: 0 };
}

class PlainSender implements UdpSender {
  readonly kind = 'plain';
  readonly counters = newSendCounters();
  readonly #socket: Socket;
  #closed = false;
  readonly #sent = (error: NodeJS.ErrnoException | null): void => {
    if (error === null) this.counters.sent++;
    else if (error.code === 'ENOBUFS') this.counters.noBuffers++;
    else this.counters.failed++;
  };

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(datagram: Uint8Array, to: UdpAddress): boolean {
    if (this.#closed) {
      this.counters.failed++;
      return false;
    }
    this.counters.calls++;
    this.#socket.send(datagram, to.port, to.socketText, this.#sent);
    return true;
  }

  flush(): void {
    // dgram has sent everything already.
  }

  close(): void {
    this.#closed = true;
  }
}

class PlainReceiver implements UdpReceiver {
  readonly kind = 'plain';
  readonly counters = newReceiveCounters();
  readonly #socket: Socket;
  readonly #onMessage: (datagram: Uint8Array, remote: RemoteInfo) => void;

  constructor(socket: Socket, family: UdpFamily, handler: UdpHandler) {
    this.#socket = socket;
    const addresses = new UdpAddressCache(family);
    this.#onMessage = (datagram, remote) => {
      this.counters.received++;
      this.counters.calls++;
      if (datagram.length > maxDatagramBytes) this.counters.oversized++;
      else handler(datagram, addresses.fromText(remote.address, remote.port));
    };
    socket.on('message', this.#onMessage);
  }

  close(): void {
    this.#socket.off('message', this.#onMessage);
  }
}
