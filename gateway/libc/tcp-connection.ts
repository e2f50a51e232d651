/**
 * A TCP connection that is read and written past Node: read together with the UDP sockets, in one wake-up of the event
 * loop, and written once per turn. Node's socket is its owner, and takes what the kernel does not take at once.
 */
import type { Socket } from 'node:net';
import { errno, type Libc } from './libc.ts';
import type { MessageVector } from './message-vector.ts';
import type { ReadySet } from './ready-set.ts';
import type { SendLane, SendQueue } from './send-queue.ts';
import { sharedOf } from './shared.ts';

const readBytes = 65_536;
const lingerMs = 5000;

export interface TcpHandlers {
  /** The bytes are borrowed until it returns; `address` is where they are, 0 if that is not known. */
  readonly data: (bytes: Uint8Array, address: number) => void;
  /** The connection is gone, whoever ended it. Once. */
  readonly closed: () => void;
}

export class TcpConnection implements SendLane {
  readonly stream = true;
  readonly segmenting = false;
  first = -1;
  last = -1;
  readonly #socket: Socket;
  readonly #handle: TcpHandle;
  readonly #fd: number;
  readonly #libc: Libc;
  readonly #queue: SendQueue;
  readonly #readySet: ReadySet;
  readonly #vector: MessageVector;
  readonly #maxUnsentBytes: number;
  #handlers: TcpHandlers | null = null;
  #key = -1;
  #ended = false;
  /** Room for a message while Node has something to write. */
  #own: Uint8Array | null = null;

  private constructor(socket: Socket, handle: TcpHandle, libc: Libc, maxUnsentBytes: number) {
    const { queue, readySet, vector } = sharedOf(libc);
    this.#socket = socket;
    this.#handle = handle;
    this.#fd = handle.fd;
    this.#libc = libc;
    this.#queue = queue;
    this.#readySet = readySet;
    this.#vector = vector;
    this.#maxUnsentBytes = maxUnsentBytes;
  }

  /** Null where Node's insides are not as expected, or the connection is gone. Beyond `maxUnsentBytes`, `open` refuses. */
  static of(socket: Socket, libc: Libc, maxUnsentBytes: number): TcpConnection | null {
    const handle = (socket as unknown as { readonly _handle?: TcpHandle | null })._handle;
    if (typeof handle?.readStop !== 'function' || typeof handle.fd !== 'number' || handle.fd < 0) return null;
    return socket.destroyed ? null : new TcpConnection(socket, handle, libc, maxUnsentBytes);
  }

  /** Begins to read: what Node has read already comes first, before this returns. */
  start(handlers: TcpHandlers): void {
    const socket = this.#socket;
    this.#handlers = handlers;
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      this.#release();
      handlers.closed();
    });
    this.#handle.readStop();
    // Otherwise Node would start again by itself.
    this.#handle.reading = true;
    this.#watch();
    if (socket.destroyed) return;
    const early = socket.read() as Buffer | null;
    if (early !== null) handlers.data(early, 0);
  }

  get bytes(): Uint8Array {
    return this.#own ?? this.#queue.bytes;
  }

  get at(): number {
    return this.#own === null ? this.#queue.at : 0;
  }

  /** Makes room for one message. */
  open(length: number): boolean {
    this.#own = null;
    if (!this.#isFull()) {
      this.#queue.open(length);
      // Making room may have filled the socket.
      if (!this.#isFull()) return true;
    }
    if (this.#socket.writableLength + length > this.#maxUnsentBytes) return false;
    this.#own = Buffer.allocUnsafe(length);
    return true;
  }

  /** Sends what was written since {@link open}. */
  commit(): void {
    if (this.#own === null) this.#queue.commit(this, null);
    else this.#socket.write(this.#own);
  }

  /** Sends bytes that must not be missing, however full the connection is. They are borrowed until it returns. */
  write(bytes: Uint8Array): void {
    const queue = this.#queue;
    if (!this.#isFull()) queue.open(bytes.length);
    // Making room may have filled the socket.
    if (this.#isFull()) {
      this.keep(bytes);
    } else {
      queue.bytes.set(bytes, queue.at);
      queue.commit(this, null);
    }
  }

  /** Bytes that the kernel has not taken. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Reads no more: what comes stays with the kernel. */
  pause(): void {
    this.#release();
  }

  resume(): void {
    if (this.#key < 0 && !this.#socket.destroyed && !this.#ended) this.#watch();
  }

  /** Sends what is left, and ends the connection. */
  close(): void {
    const socket = this.#socket;
    this.#queue.flushLane(this);
    this.#release();
    this.#ended = true;
    // A peer that does not read must not keep it.
    socket.setTimeout(lingerMs, () => socket.destroy());
    socket.destroySoon();
  }

  descriptor(): number {
    return this.#socket.destroyed || !this.#socket.writable ? -1 : this.#fd;
  }

  called(): void {
    // Nobody counts a connection's calls.
  }

  sent(): void {
    // Nor what went.
  }

  /** The connection is broken: the next read says so. */
  lost(): void {
    this.#socket.destroy();
  }

  unsegmented(): void {
    // There are no segments.
  }

  blocked(): void {
    // What follows says how much.
  }

  keep(bytes: Uint8Array): void {
    // A copy by the constructor: the queue's memory is used again.
    this.#socket.write(new Uint8Array(bytes));
  }

  /** Node has something to write: what comes must wait behind it. */
  #isFull(): boolean {
    return this.#socket.writableLength > 0;
  }

  #read(): void {
    const vector = this.#vector;
    if (this.#socket.destroyed) return;
    const length = this.#libc.take(this.#fd, vector.dataPointer(0), readBytes);
    if (length > 0) this.#handlers?.data(vector.data.subarray(0, length), vector.dataPointer(0));
    else if (length !== -errno.EAGAIN && length !== -errno.EINTR) this.#socket.destroy();
  }

  #watch(): void {
    this.#key = this.#readySet.add(this.#fd, () => {
      this.#read();
    });
    if (this.#key < 0) this.#socket.destroy();
  }

  #release(): void {
    if (this.#key < 0) return;
    this.#readySet.remove(this.#key, this.#socket.destroyed ? -1 : this.#fd);
    this.#key = -1;
  }
}

interface TcpHandle {
  readonly fd: number;
  reading: boolean;
  readStop(): void;
}
