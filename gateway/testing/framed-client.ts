/** The client's end of a TCP connection of RFC 4571 frames, on loopback. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { encodeFrame, FrameDecoder } from '../../tunnel-protocol/index.ts';

export class FramedClient {
  readonly socket: Socket;
  /** What came and was not taken by {@link next}. */
  readonly frames: Uint8Array[] = [];
  readonly closed: Promise<void>;
  isClosed = false;
  readonly #decoder = new FrameDecoder();
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk);
      for (let frame = this.#decoder.next(); frame !== null; frame = this.#decoder.next()) {
        this.frames.push(Uint8Array.from(frame));
      }
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.isClosed = true;
        this.#wake();
        resolve();
      });
    });
  }

  static async connect(port: number): Promise<FramedClient> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new FramedClient(socket);
  }

  /** One write for all. */
  send(...datagrams: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(datagrams.map(encodeFrame)));
  }

  /** The next datagram, or null when the connection ended without one. */
  async next(): Promise<Uint8Array | null> {
    while (this.frames.length === 0 && !this.isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.frames.shift() ?? null;
  }
}
