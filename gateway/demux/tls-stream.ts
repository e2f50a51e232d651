/** A {@link TlsConnection} as a stream, for Node's HTTP server: clients that offer no ALPN and speak HTTP, which few do. */
import { Duplex } from 'node:stream';
import type { TlsConnection } from '../libc/index.ts';

/** What may wait for the kernel before the writer has to. */
const maxUnsentBytes = 65_536;

export class TlsStream extends Duplex {
  readonly encrypted = true;
  readonly #connection: TlsConnection;
  #ended = false;

  /** `read` is what has come already. */
  constructor(connection: TlsConnection, read: Uint8Array) {
    super({ allowHalfOpen: true });
    this.#connection = connection;
    connection.setHandlers({
      data: (bytes) => {
        this.#give(bytes);
      },
      ended: () => {
        this.#ended = true;
        this.push(null);
      },
      closed: () => {
        if (!this.#ended) this.push(null);
        this.destroy();
      },
    });
    connection.socket.on('timeout', () => this.emit('timeout'));
    this.#give(read);
  }

  get remoteAddress(): string | undefined {
    return this.#connection.socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#connection.socket.remotePort;
  }

  get remoteFamily(): string | undefined {
    return this.#connection.socket.remoteFamily;
  }

  get localAddress(): string | undefined {
    return this.#connection.socket.localAddress;
  }

  get localPort(): number | undefined {
    return this.#connection.socket.localPort;
  }

  /** As of a socket; the HTTP server sets it while nothing is asked for. */
  setTimeout(ms: number, timedOut?: () => void): this {
    if (timedOut !== undefined) this.once('timeout', timedOut);
    this.#connection.socket.setTimeout(ms);
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  override _read(): void {
    if (!this.#ended) this.#connection.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const { socket } = this.#connection;
    this.#connection.write(chunk);
    // Then it has been given to the kernel, as much of it as fits.
    setImmediate(() => {
      if (this.#connection.unsentBytes > maxUnsentBytes) socket.once('drain', done);
      else done();
    });
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#connection.close();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#connection.socket.destroy();
    done(error);
  }

  #give(bytes: Uint8Array): void {
    // A copy: what comes is borrowed.
    if (!this.push(Buffer.from(bytes))) this.#connection.pause();
  }
}
