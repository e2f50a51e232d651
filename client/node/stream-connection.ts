/** A TCP or TLS connection to a media server. All that is written within a task leaves in one write. */
import type { Socket } from 'node:net';
import { openEdgeSocket } from './edge-socket.ts';
import type { SocketTarget } from './edge-socket.ts';
import type { Cancel } from './proxy-tunnel.ts';
import { explainConnectionError } from './tls-trust.ts';

export interface StreamConnectionEvents {
  opened(): void;
  /** Borrowed until the call returns. */
  data(chunk: Uint8Array): void;
  /** Once; nothing follows. Not called for a `close()` of the owner's. */
  failed(reason: string): void;
}

export class StreamConnection {
  readonly #cancelOpening: Cancel;
  #socket: Socket | null = null;
  #corked = false;
  #closed = false;
  readonly #uncork = (): void => {
    this.#corked = false;
    this.#socket?.uncork();
  };

  /** These are no HTTP connections, so no ALPN is to be named: they say so. */
  constructor(target: SocketTarget, events: StreamConnectionEvents) {
    this.#cancelOpening = openEdgeSocket(target, (result) => {
      if (result instanceof Error) {
        this.#closed = true;
        events.failed(describeSocketError(result));
        return;
      }
      this.#attach(result, events);
      events.opened();
    });
  }

  /** Bytes that were written but have not left yet. */
  get bufferedBytes(): number {
    return this.#socket?.writableLength ?? 0;
  }

  /** The bytes are given away. Without effect unless open. */
  write(bytes: Uint8Array): void {
    const socket = this.#socket;
    if (this.#closed || socket === null) return;
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      queueMicrotask(this.#uncork);
    }
    socket.write(bytes);
  }

  /** What was written is sent before, if the connection takes it. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelOpening();
    const socket = this.#socket;
    if (socket === null) return;
    if (this.#corked) socket.uncork();
    if (socket.writableLength > maxFarewellBytes) socket.destroy();
    else socket.destroySoon();
  }

  #attach(socket: Socket, events: StreamConnectionEvents): void {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      if (!this.#closed) events.data(chunk);
    });
    let reason = 'closed by the server';
    socket.on('error', (error) => {
      reason = describeSocketError(error);
    });
    socket.on('close', () => {
      if (this.#closed) return;
      this.#closed = true;
      events.failed(reason);
    });
  }
}

/** A connection with more than this to send is stalled: nobody waits for it. */
const maxFarewellBytes = 16_384;

/** The short reason of a {@link PathLinkEvents.failed}. */
export function describeSocketError(error: Error): string {
  const explained = explainConnectionError(error);
  if (explained.code !== 'edge-unreachable' && explained.code !== 'edge-not-sallyport') return explained.code;
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : error.message;
}
