/** The fallback towards uWebSockets.js without descriptors: bytes are copied to and from a port on loopback. */
import { connect, type Socket } from 'node:net';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';

const loopback = '127.0.0.1';
/** 127.64.0.0/10 has 2^22 addresses; each spliced connection comes from one of its own. */
const firstSource = (127 << 24) | (64 << 16);
const sourceMask = 0x3fffff;

export class Splicer {
  readonly #peers = new Map<string, TransportAddress>();
  #next = 1;

  /** The client of a spliced connection, by the address that its server sees; null for any other. */
  peerBehind(address: string): TransportAddress | null {
    return this.#peers.get(address) ?? null;
  }

  get size(): number {
    return this.#peers.size;
  }

  /** Takes the socket with all its bytes. */
  splice(socket: Socket, remote: TransportAddress, port: number): void {
    const localAddress = this.#source();
    this.#peers.set(localAddress, remote);
    const inner = connect({ host: loopback, port, localAddress, noDelay: true });
    // Either end's failure is the other's end; `close` follows every error.
    inner.on('error', ignore);
    inner.once('close', () => {
      this.#peers.delete(localAddress);
      socket.destroy();
    });
    socket.once('close', () => inner.destroy());
    if (socket.destroyed) inner.destroy();
    socket.pipe(inner).pipe(socket);
  }

  #source(): string {
    let address: string;
    do {
      const source = firstSource | this.#next;
      this.#next = (this.#next + 1) & sourceMask || 1;
      address = [source >>> 24, (source >>> 16) & 255, (source >>> 8) & 255, source & 255].join('.');
    } while (this.#peers.has(address));
    return address;
  }
}

function ignore(): void {
  // Said by `close`.
}
