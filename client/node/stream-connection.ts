/** A TCP or TLS connection to a media server. All that is written within a task leaves in one write. */
import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { explainConnectionError, isCertificateError } from './tls-trust.ts';
import type { TlsTrust } from './tls-trust.ts';

export interface StreamTarget {
  /** A name or an IP address. */
  readonly host: string;
  readonly port: number;
  /** Null for plain TCP. */
  readonly tls: TlsTrust | null;
}

export interface StreamConnectionEvents {
  opened(): void;
  /** Borrowed until the call returns. */
  data(chunk: Uint8Array): void;
  /** Once; nothing follows. Not called for a `close()` of the owner's. */
  failed(reason: string): void;
}

export class StreamConnection {
  readonly #socket: Socket;
  #corked = false;
  #closed = false;
  readonly #uncork = (): void => {
    this.#corked = false;
    this.#socket.uncork();
  };

  constructor(target: StreamTarget, events: StreamConnectionEvents) {
    const socket = open(target);
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on(target.tls === null ? 'connect' : 'secureConnect', () => {
      if (!this.#closed) events.opened();
    });
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

  /** Bytes that were written but have not left yet. */
  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  /** The bytes are given away. */
  write(bytes: Uint8Array): void {
    if (this.#closed) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      queueMicrotask(this.#uncork);
    }
    this.#socket.write(bytes);
  }

  /** What was written is sent before, if the connection takes it. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#corked) this.#socket.uncork();
    if (this.#socket.connecting || this.#socket.writableLength > maxFarewellBytes) this.#socket.destroy();
    else this.#socket.destroySoon();
  }
}

/** A connection with more than this to send is stalled: nobody waits for it. */
const maxFarewellBytes = 16_384;

function open({ host, port, tls }: StreamTarget): Socket {
  if (tls === null) return connectTcp({ host, port });
  // RFC 6066 section 3: no IP addresses in SNI. No ALPN: these are no HTTP connections, and say so.
  return connectTls({ host, port, ...tls, ...(isIP(host) === 0 ? { servername: host } : {}) });
}

/** The short reason of a {@link PathLinkEvents.failed}. */
export function describeSocketError(error: Error): string {
  const explained = explainConnectionError(error);
  if (isCertificateError(explained)) return explained.code;
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : error.message;
}
