/** A UDP socket for one TURN server: connected, so that nobody else is heard and ICMP's refusals are. */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { lookup } from 'node:dns';
import { isIPv6 } from 'node:net';
import { describeSocketError } from './stream-connection.ts';

export interface TurnUdpSocketEvents {
  opened(): void;
  /** Borrowed until the call returns. */
  message(message: Uint8Array): void;
  /** Once; nothing follows. Not called for a `close()` of the owner's. */
  failed(reason: string): void;
}

/** Gives a name's addresses, best first; an IP address is its own. */
export type ResolveHost = (host: string, done: (error: Error | null, addresses: readonly string[]) => void) => void;

const resolveBySystem: ResolveHost = (host, done) => {
  lookup(host, { all: true }, (error, found) => {
    // With an error there is no list, whatever its type says.
    done(error, error === null ? found.map(({ address }) => address) : []);
  });
};

/** Of a name with several addresses, the next one is taken when one refuses. */
const maxAddresses = 4;

export class TurnUdpSocket {
  /** Always 0: what the system does not take, it drops. */
  readonly bufferedBytes = 0;
  readonly #port: number;
  readonly #events: TurnUdpSocketEvents;
  #addresses: string[] = [];
  #socket: Socket | null = null;
  #opened = false;
  #closed = false;
  #heard = false;
  /** What the next address is told, should this one refuse. */
  #unanswered: Uint8Array | null = null;

  constructor(host: string, port: number, events: TurnUdpSocketEvents, resolve: ResolveHost = resolveBySystem) {
    this.#port = port;
    this.#events = events;
    resolve(host, (error, addresses) => {
      if (this.#closed) return;
      this.#addresses = addresses.slice(0, maxAddresses);
      this.#openNext(error ?? new Error('the name has no address'));
    });
  }

  /** The bytes are given away. */
  write(message: Uint8Array): void {
    if (this.#closed || this.#socket === null) return;
    if (!this.#heard) this.#unanswered = message;
    this.#socket.send(message);
  }

  /** What was written has been handed to the system. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket?.close();
  }

  #openNext(error: Error): void {
    const address = this.#addresses.shift();
    if (address === undefined) {
      this.#closed = true;
      this.#events.failed(describeSocketError(error));
      return;
    }
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    this.#socket = socket;
    socket.on('error', (error) => {
      this.#refused(socket, error);
    });
    socket.on('message', (message) => {
      this.#heard = true;
      this.#unanswered = null;
      if (!this.#closed) this.#events.message(message);
    });
    socket.on('connect', () => {
      this.#connected(socket);
    });
    socket.connect(this.#port, address);
  }

  #connected(socket: Socket): void {
    if (this.#closed || this.#socket !== socket) return;
    if (this.#unanswered !== null) socket.send(this.#unanswered);
    if (this.#opened) return;
    this.#opened = true;
    this.#events.opened();
  }

  /** Of a server that has answered before, ICMP says nothing final: a router on the way may have had a bad moment. */
  #refused(socket: Socket, error: Error): void {
    if (this.#closed || this.#heard || this.#socket !== socket) return;
    this.#socket = null;
    socket.close();
    this.#openNext(error);
  }
}
