/**
 * A TLS connection past Node, on top of a {@link TcpConnection}: what one turn of the event loop has to say becomes one piece
 * of TLS (RFC 8446 section 5: records of at most 16 KiB), and one write.
 */
import type { Socket } from 'node:net';
import type { Libc } from './libc.ts';
import type { TlsServerContext, TlsSession } from './openssl-tls.ts';
import { atEndOfTurn } from './shared.ts';
import { TcpConnection } from './tcp-connection.ts';

export interface TlsHandlers {
  /** The bytes are borrowed until it returns. */
  readonly data: (bytes: Uint8Array) => void;
  /** The client says no more, and may still listen: what is left to say goes, if {@link TlsConnection.close} ends it. */
  readonly ended: () => void;
  /** The connection is gone, whoever ended it and why. Once. */
  readonly closed: () => void;
}

const smallestBatchBytes = 2048;
const largestBatchBytes = 65_536;
/** TLS itself answers what a client sends, so a client that takes no answers is not to make more of them than this. */
const maxAnswerBytes = 65_536;
/** There may be thousands of connections: what a rare burst took is given back. */
const keptBatchBytes = 16_384;
const nothing = new Uint8Array(0);

export class TlsConnection {
  /** Node's, which owns the connection. */
  readonly socket: Socket;
  readonly #tcp: TcpConnection;
  readonly #session: TlsSession;
  readonly #libc: Libc;
  /** Beyond this, `open` refuses. */
  maxUnsentBytes: number;
  #handlers: TlsHandlers | null = null;
  /** The handshake is done. */
  secured = false;
  #closed = false;
  /** What this turn has to say so far. */
  #batch = nothing;
  #length = 0;
  #queued = false;
  /** Of answers since all that was said had gone. */
  #answerBytes = 0;
  readonly #endOfTurn = (): void => {
    this.#queued = false;
    this.#flush();
  };
  at = 0;

  private constructor(tcp: TcpConnection, socket: Socket, session: TlsSession, libc: Libc, maxUnsentBytes: number) {
    this.#tcp = tcp;
    this.socket = socket;
    this.#session = session;
    this.#libc = libc;
    this.maxUnsentBytes = maxUnsentBytes;
  }

  /** Null where Node's insides are not as expected, or the connection is gone. Beyond `maxUnsentBytes`, `open` refuses. */
  static of(socket: Socket, libc: Libc, context: TlsServerContext, maxUnsentBytes: number): TlsConnection | null {
    const tcp = TcpConnection.of(socket, libc, maxUnsentBytes);
    return tcp === null ? null : new TlsConnection(tcp, socket, context.session(), libc, maxUnsentBytes);
  }

  /** Begins with the handshake: nothing has been read before. */
  start(handlers: TlsHandlers): void {
    this.#handlers = handlers;
    this.#tcp.start({
      data: (bytes, address) => {
        this.#receive(bytes, address);
      },
      closed: () => {
        this.#closed = true;
        this.#session.close();
        this.#handlers?.closed();
      },
    });
  }

  /** Others serve it from now on. */
  setHandlers(handlers: TlsHandlers): void {
    this.#handlers = handlers;
  }

  get bytes(): Uint8Array {
    return this.#batch;
  }

  /** Bytes that the kernel has not taken. */
  get unsentBytes(): number {
    return this.#tcp.unsentBytes;
  }

  /** Makes room for one message; false when the client does not keep up. */
  open(length: number): boolean {
    if (this.#closed || this.#tcp.unsentBytes + length > this.maxUnsentBytes) return false;
    this.#makeRoom(length);
    return true;
  }

  /** Sends what was written since {@link open}. */
  commit(): void {
    if (this.#queued) return;
    this.#queued = true;
    atEndOfTurn(this.#libc, this.#endOfTurn);
  }

  /** Sends bytes that must not be missing, however full the connection is. */
  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#closed; at += largestBatchBytes) {
      const part = bytes.subarray(at, at + largestBatchBytes);
      this.#makeRoom(part.length);
      this.#batch.set(part, this.at);
      this.commit();
    }
  }

  pause(): void {
    this.#tcp.pause();
  }

  resume(): void {
    this.#tcp.resume();
  }

  /** Sends what is left, says goodbye, and ends the connection. */
  close(): void {
    if (this.#closed) return;
    this.#flush();
    this.#session.end();
    this.#give();
    this.#closed = true;
    this.#tcp.close();
  }

  /** Also by what a handler did. */
  #isClosed(): boolean {
    return this.#closed;
  }

  #makeRoom(length: number): void {
    if (this.#length + length > largestBatchBytes) this.#flush();
    const needed = this.#length + length;
    if (needed > this.#batch.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, smallestBatchBytes, this.#batch.length * 2));
      larger.set(this.#batch.subarray(0, this.#length));
      this.#batch = larger;
    }
    this.at = this.#length;
    this.#length = needed;
  }

  #flush(): void {
    const length = this.#length;
    this.#length = 0;
    if (length === 0 || this.#closed) return;
    if (this.#session.write(this.#batch.subarray(0, length))) this.#give();
    else this.socket.destroy();
    if (this.#batch.length > keptBatchBytes) this.#batch = nothing;
  }

  /** What TLS has made goes to the client. Returns how many bytes that is. */
  #give(): number {
    let length = 0;
    for (let piece = this.#session.take(); piece !== null; piece = this.#session.take()) {
      this.#tcp.write(piece);
      length += piece.length;
    }
    return length;
  }

  #receive(bytes: Uint8Array, address: number): void {
    if (this.#closed) return;
    const session = this.#session;
    session.feed(bytes, address);
    if (!this.secured && !this.#shakeHands()) return;
    let piece = session.read();
    for (; typeof piece !== 'string'; piece = session.read()) {
      this.#handlers?.data(piece);
      if (this.#isClosed()) return;
    }
    // Key updates and alerts.
    const answered = this.#give();
    this.#answerBytes = this.#tcp.unsentBytes === 0 ? 0 : this.#answerBytes + answered;
    if (this.#answerBytes > maxAnswerBytes) this.socket.destroy();
    if (piece === 'more') return;
    // Its end of the connection below says nothing new.
    this.#tcp.pause();
    if (piece === 'ended') this.#handlers?.ended();
    else this.close();
  }

  /** False: more has to come, or nothing will. */
  #shakeHands(): boolean {
    const progress = this.#session.handshake();
    this.#give();
    if (progress === 'done') {
      this.secured = true;
    } else if (progress !== 'more') {
      // The alert tells the client why.
      this.#closed = true;
      this.#tcp.close();
    }
    return progress === 'done';
  }
}
