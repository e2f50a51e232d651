/** What Node keeps behind a dgram socket, and the counters that both ways of using one share. */
import type { Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { UdpFamily } from './udp-address.ts';
import type { UdpReceiveCounters, UdpSendCounters } from './udp.ts';

export function familyOf(socket: Socket): UdpFamily {
  return isIPv6(socket.address().address) ? 'udp6' : 'udp4';
}

/** The descriptor of an open dgram socket, and Node's part in it. */
export class SocketDescriptor {
  readonly #state: SocketState;
  readonly #handle: UdpHandle;
  readonly #fd: number;

  private constructor(state: SocketState, handle: UdpHandle, fd: number) {
    this.#state = state;
    this.#handle = handle;
    this.#fd = fd;
  }

  /** Null where Node's insides are not as expected, or the socket is closed. */
  static of(socket: Socket): SocketDescriptor | null {
    const state = stateOf(socket);
    const handle = state?.handle;
    if (typeof handle?.recvStop !== 'function' || typeof handle.recvStart !== 'function') return null;
    const { fd } = handle;
    return state === null || typeof fd !== 'number' || fd < 0 ? null : new SocketDescriptor(state, handle, fd);
  }

  /** -1 once the socket is closed: the number may be another file's then. */
  get fd(): number {
    // Asking the handle for its number would be a call into the runtime.
    return this.#state.handle === this.#handle ? this.#fd : -1;
  }

  /** Makes Node stop reading the socket. */
  pause(): void {
    this.#handle.recvStop();
  }

  resume(): void {
    if (this.fd >= 0) this.#handle.recvStart();
  }
}

interface UdpHandle {
  readonly fd: number;
  recvStart(): void;
  recvStop(): void;
}

interface SocketState {
  readonly handle?: UdpHandle | null;
}

/** Node keeps the handle behind a symbol; its old public name, `_handle`, prints a warning of deprecation. */
function stateOf(socket: Socket): SocketState | null {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol');
  if (symbol === undefined) return null;
  return (socket as unknown as Record<symbol, SocketState | undefined>)[symbol] ?? null;
}

export function newSendCounters(): UdpSendCounters {
  return { sent: 0, calls: 0, blocked: 0, noBuffers: 0, queueFull: 0, failed: 0, unsegmented: 0 };
}

export function newReceiveCounters(): UdpReceiveCounters {
  return { received: 0, calls: 0, oversized: 0 };
}
