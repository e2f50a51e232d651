/** This client's UDP sockets: one for each address family that the server's candidates need. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { formatIpAddress, parseIpAddress } from '../../tunnel-protocol/index.ts';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';

export interface UdpSocketsEvents {
  /** A datagram of a candidate; borrowed. */
  datagram(candidate: TransportAddress, datagram: Uint8Array): void;
}

type Family = 'udp4' | 'udp6';

export class UdpSockets {
  readonly #events: UdpSocketsEvents;
  readonly #sockets = new Map<Family, Socket>();
  /** By the address as the socket reports it, canonical. */
  readonly #candidates = new Map<string, TransportAddress>();
  #closed = false;
  #strangers = 0;
  #errors = 0;

  constructor(candidates: readonly TransportAddress[], events: UdpSocketsEvents) {
    this.#events = events;
    for (const candidate of candidates) {
      this.#candidates.set(keyOf(candidate.address, candidate.port), candidate);
    }
  }

  /** Datagrams of addresses that are no candidates: dropped. */
  get strangers(): number {
    return this.#strangers;
  }

  /** Sends and sockets that failed. Often a network without IPv6; the checks tell what works. */
  get errors(): number {
    return this.#errors;
  }

  /** The bytes are given away. False when closed. */
  send(candidate: TransportAddress, datagram: Uint8Array): boolean {
    if (this.#closed) return false;
    const family: Family = isIPv6(candidate.address) ? 'udp6' : 'udp4';
    let socket = this.#sockets.get(family);
    if (socket === undefined) {
      socket = this.#create(family);
      this.#sockets.set(family, socket);
    }
    socket.send(datagram, candidate.port, candidate.address, this.#onSent);
    return true;
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets.values()) closeQuietly(socket);
    this.#sockets.clear();
  }

  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.#errors += 1;
  };

  #create(family: Family): Socket {
    const socket = createSocket({ type: family, ipv6Only: family === 'udp6' });
    socket.on('message', (datagram, { address, port }) => {
      if (this.#closed) return;
      const candidate = this.#candidates.get(keyOf(address, port));
      if (candidate === undefined) this.#strangers += 1;
      else this.#events.datagram(candidate, datagram);
    });
    socket.on('error', () => {
      this.#errors += 1;
      if (this.#sockets.get(family) === socket) this.#sockets.delete(family);
      closeQuietly(socket);
    });
    return socket;
  }
}

/** A socket that failed may be closed already, which `close` would throw for. */
function closeQuietly(socket: Socket): void {
  try {
    socket.close();
  } catch {
    // It is closed, which is all that was wanted.
  }
}

function keyOf(address: string, port: number): string {
  const bytes = parseIpAddress(address.replace(/%.*$/, ''));
  return `${bytes === null ? address : formatIpAddress(bytes)} ${String(port)}`;
}
