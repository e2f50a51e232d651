/**
 * The client side of a WebSocket (RFC 6455) over TLS, as cheap as Node can have it, so that a load reaches what a gateway
 * can take from the same machine. Masked with a key of zeros: the server's work is the same. Trusts every certificate.
 */
import { createHash, randomBytes } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';

export interface BareWebSocketOptions {
  readonly url: string;
  readonly subprotocols: readonly string[];
  /** Of this machine; a loopback address has some 28 000 ports towards one server. */
  readonly localAddress?: string;
}

/** Room before a message, in the memory that {@link BareWebSocket.send} is given, for the WebSocket header. */
export const headerRoom = 8;

const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const final = 0x80;
const masked = 0x80;
const opcode = { binary: 2, close: 8, ping: 9, pong: 10 } as const;
const noBytes = Buffer.alloc(0);
const handshakeTimeoutMs = 30_000;

export class BareWebSocket {
  /** A binary message, borrowed. */
  onMessage: (message: Uint8Array) => void = () => undefined;
  onClose: () => void = () => undefined;
  readonly socket: TLSSocket;
  #held: Buffer = noBytes;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
  }

  /** Resolves when the handshake is done; rejects with the status line otherwise. */
  static open({ url, subprotocols, localAddress }: BareWebSocketOptions): Promise<BareWebSocket> {
    const { hostname, port, pathname } = new URL(url);
    const key = randomBytes(16).toString('base64');
    const accept = createHash('sha1')
      .update(key + acceptSuffix)
      .digest('base64');
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: hostname,
        port: Number(port || 443),
        rejectUnauthorized: false,
        ALPNProtocols: ['http/1.1'],
        ...(localAddress === undefined ? {} : { localAddress }),
      });
      socket.setNoDelay(true);
      const fail = (error: Error): void => {
        socket.destroy();
        reject(error);
      };
      const timer = setTimeout(() => {
        fail(new Error('no answer to a WebSocket handshake'));
      }, handshakeTimeoutMs);
      socket.once('error', fail);
      socket.once('close', () => {
        clearTimeout(timer);
        reject(new Error('the connection was closed in the WebSocket handshake'));
      });
      socket.write(
        [
          `GET ${pathname} HTTP/1.1`,
          `Host: ${hostname}:${port}`,
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          `Sec-WebSocket-Key: ${key}`,
          `Sec-WebSocket-Protocol: ${subprotocols.join(', ')}`,
          '\r\n',
        ].join('\r\n'),
      );
      let head = noBytes;
      const readHead = (chunk: Buffer): void => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf('\r\n\r\n');
        if (end === -1) return;
        clearTimeout(timer);
        const text = head.toString('latin1', 0, end);
        if (!text.startsWith('HTTP/1.1 101') || !text.toLowerCase().includes(accept.toLowerCase())) {
          fail(new Error(`no WebSocket: ${text.slice(0, text.indexOf('\r\n'))}`));
          return;
        }
        socket.off('data', readHead);
        const webSocket = new BareWebSocket(socket);
        webSocket.#begin();
        resolve(webSocket);
        if (end + 4 < head.length) webSocket.#read(head.subarray(end + 4));
      };
      socket.on('data', readHead);
    });
  }

  get bufferedBytes(): number {
    return this.socket.writableLength;
  }

  /**
   * Sends the message that stands in `memory` from {@link headerRoom} to `end`, of less than 64 KiB. The memory is given
   * away, and its first bytes are written over.
   */
  send(memory: Uint8Array, end: number): void {
    this.#write(memory, end, opcode.binary);
  }

  destroy(): void {
    this.socket.destroy();
  }

  #write(memory: Uint8Array, end: number, code: number): void {
    const length = end - headerRoom;
    const at = length < 126 ? 2 : 0;
    memory[at] = final | code;
    if (length < 126) memory[at + 1] = masked | length;
    else {
      memory[at + 1] = masked | 126;
      memory[at + 2] = length >>> 8;
      memory[at + 3] = length;
    }
    memory.fill(0, headerRoom - 4, headerRoom);
    this.socket.write(memory.subarray(at, end));
  }

  #begin(): void {
    const { socket } = this;
    socket.removeAllListeners('close');
    socket.removeAllListeners('error');
    // 'close' follows.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.onClose();
    });
    socket.on('data', (chunk: Buffer) => {
      this.#read(chunk);
    });
  }

  #read(chunk: Buffer): void {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    let at = 0;
    for (;;) {
      const start = startOfPayload(bytes, at);
      if (start === 0) break;
      const end = start + lengthOfPayload(bytes, at);
      if (end > bytes.length) break;
      this.#take((bytes[at] as number) & 0x0f, bytes.subarray(start, end));
      at = end;
    }
    this.#held = at === bytes.length ? noBytes : bytes.subarray(at);
  }

  #take(code: number, payload: Buffer): void {
    if (code === opcode.binary) this.onMessage(payload);
    else if (code === opcode.ping) {
      const memory = new Uint8Array(headerRoom + payload.length);
      memory.set(payload, headerRoom);
      this.#write(memory, memory.length, opcode.pong);
    } else if (code === opcode.close) this.socket.end();
  }
}

/** 0: the header is not complete. */
function startOfPayload(bytes: Uint8Array, at: number): number {
  if (bytes.length - at < 2) return 0;
  const start = at + ((bytes[at + 1] as number) === 126 ? 4 : 2);
  return start > bytes.length ? 0 : start;
}

/** The server's messages are shorter than 64 KiB. */
function lengthOfPayload(bytes: Uint8Array, at: number): number {
  const short = bytes[at + 1] as number;
  return short === 126 ? ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number) : short;
}
