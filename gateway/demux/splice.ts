/** The fallback towards uWebSockets.js without descriptors: bytes are copied to and from a port on loopback. */
import { connect, type Socket } from 'node:net';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';

const loopback = '127.0.0.1';
/** 127.64.0.0/10 has 2^22 addresses; each spliced connection comes from one of its own. */
const firstSource = (127 << 24) | (64 << 16);
const sourceMask = 0x3fffff;
/** How long the last bytes of a server that has closed may be on their way. */
const lastBytesMs = 250;

interface Splice {
  readonly remote: TransportAddress;
  readonly outer: Socket;
}

export class Splicer {
  /** By the address that the server sees. */
  readonly #splices = new Map<string, Splice>();
  #next = 1;
  #emptied: () => void = () => undefined;

  /** The client of a spliced connection, by the address that its server sees; null for any other. */
  peerBehind(address: string): TransportAddress | null {
    return this.#splices.get(address)?.remote ?? null;
  }

  get size(): number {
    return this.#splices.size;
  }

  /** Takes the socket with all its bytes. */
  splice(outer: Socket, remote: TransportAddress, port: number): void {
    const localAddress = this.#source();
    this.#splices.set(localAddress, { remote, outer });
    const inner = connect({ host: loopback, port, localAddress, noDelay: true });
    // Either end's failure is the other's end; `close` follows every error.
    inner.on('error', ignore);
    inner.once('close', () => {
      // What came before the end still goes out.
      outer.destroySoon();
    });
    outer.once('close', () => {
      inner.destroy();
      this.#splices.delete(localAddress);
      if (this.#splices.size === 0) this.#emptied();
    });
    if (outer.destroyed) inner.destroy();
    outer.pipe(inner).pipe(outer);
  }

  /** Ends all, but lets through first what servers that have closed said at last. */
  async close(): Promise<void> {
    if (this.#splices.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, lastBytesMs);
        this.#emptied = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    for (const { outer } of this.#splices.values()) outer.destroy();
  }

  #source(): string {
    let address: string;
    do {
      const source = firstSource | this.#next;
      this.#next = (this.#next + 1) & sourceMask || 1;
      address = [source >>> 24, (source >>> 16) & 255, (source >>> 8) & 255, source & 255].join('.');
    } while (this.#splices.has(address));
    return address;
  }
}

function ignore(): void {
  // Said by `close`.
}
