/** One connection of a client: TCP, TLS, or something that carries whole messages, such as a WebSocket. */
import type { TransportAddress } from '../tunnel-protocol/index.ts';
import type { Allocation } from './allocation.ts';
import { ClientLink } from './client-link.ts';

/** A connection whose socket the gateway owns, and whose output messages are written straight into. */
export interface TurnStream {
  readonly kind: 'turn-tcp' | 'turn-tls';
  readonly remote: TransportAddress;
  readonly local: TransportAddress;
  /** Each `push` brings whole messages, so that a piece of one is an error. */
  readonly whole?: boolean;
  /** Where the message that {@link open} made room for is to be written. */
  readonly bytes: Uint8Array;
  readonly at: number;
  /** Makes room for one message; false when the client does not keep up and the message is to be dropped. */
  open(length: number): boolean;
  /** Sends what was written since {@link open}, at the end of this turn of the event loop. */
  commit(): void;
  /** Sends what is left and ends the connection; `closed` of the stream's input need not be called any more, but may. */
  close(): void;
}

export class StreamLink extends ClientLink {
  readonly kind: 'turn-tcp' | 'turn-tls';
  readonly padded = true;
  readonly whole: boolean;
  readonly #stream: TurnStream;
  #closed = false;

  constructor(stream: TurnStream) {
    super(stream.remote, stream.local);
    this.kind = stream.kind;
    this.whole = stream.whole === true;
    this.#stream = stream;
  }

  open(length: number): boolean {
    const stream = this.#stream;
    if (this.#closed || !stream.open(length)) return false;
    this.bytes = stream.bytes;
    this.at = stream.at;
    return true;
  }

  commit(): void {
    this.#stream.commit();
  }

  attach(allocation: Allocation): void {
    this.allocation = allocation;
  }

  detach(): void {
    this.allocation = null;
  }

  /** Sends what is left and ends the connection. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream.close();
  }

  /** The connection is gone. */
  lost(): void {
    this.#closed = true;
  }
}
