/** The server's end of a control channel on a real WebSocket, for tests of the client's. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import {
  ControlEndpoint,
  classifyDatagram,
  closeCodes,
  controlType,
  datagramClass,
  decodeControlFrame,
  encodeControlFrame,
  encodeFrame,
  forEachFrame,
} from '../../tunnel-protocol/index.ts';
import type { CloseCode, SignalEvent, SignalRequest } from '../../tunnel-protocol/index.ts';

export interface TunnelServerOptions {
  /** Called for every request; what it returns is sent back. */
  readonly reply?: (request: SignalRequest) => SignalEvent | null;
  /** Answers the upgrade with this status and body instead of accepting it. */
  readonly refuse?: { readonly status: number; readonly body: string };
  readonly subprotocol?: string;
}

/** One session; its endpoint outlives connections, as the SFU's does. */
export class TunnelServer {
  readonly datagrams: Uint8Array[] = [];
  readonly messages: number[] = [];
  readonly offered: string[][] = [];
  connections = 0;
  refuse: TunnelServerOptions['refuse'];
  readonly #endpoint = new ControlEndpoint({ role: 'server', epoch: 7, now: performance.now() });
  readonly #http = createServer((_, response) => response.writeHead(404).end());
  readonly #options: TunnelServerOptions;
  readonly #wss: WebSocketServer;
  #socket: WebSocket | null = null;

  constructor(options: TunnelServerOptions = {}) {
    this.#options = options;
    this.refuse = options.refuse;
    this.#wss = new WebSocketServer({
      noServer: true,
      handleProtocols: (protocols) => {
        this.offered.push([...protocols]);
        return options.subprotocol ?? 'sallyport.v1';
      },
    });
    this.#http.on('upgrade', (request, socket, head) => {
      if (this.refuse !== undefined) {
        const { status, body } = this.refuse;
        const length = Buffer.byteLength(body);
        socket.end(
          `HTTP/1.1 ${String(status)} No\r\ncontent-length: ${String(length)}\r\nconnection: close\r\n\r\n${body}`,
        );
        return;
      }
      this.#wss.handleUpgrade(request, socket, head, (ws) => {
        this.#accept(ws);
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve));
    return `ws://127.0.0.1:${String((this.#http.address() as AddressInfo).port)}/tunnel/v1/ws`;
  }

  event(event: SignalEvent): void {
    this.#endpoint.send(JSON.stringify(event), performance.now());
    this.#write();
  }

  text(text: string): void {
    this.#endpoint.send(text, performance.now());
    this.#write();
  }

  sendRaw(message: Uint8Array): void {
    this.#socket?.send(message);
  }

  sendDatagram(datagram: Uint8Array): void {
    this.#socket?.send(encodeFrame(datagram));
  }

  closeSession(code: CloseCode, reason: string): void {
    this.#endpoint.close(code, reason, performance.now());
    this.#write();
  }

  drain(retryAfterMs: number, spreadMs: number): void {
    this.#endpoint.drain(retryAfterMs, spreadMs);
    this.#write();
  }

  /** As a network does that goes away. */
  cut(): void {
    this.#socket?.terminate();
  }

  async close(): Promise<void> {
    for (const socket of this.#wss.clients) socket.terminate();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #accept(socket: WebSocket): void {
    this.connections += 1;
    socket.on('message', (data: Buffer) => {
      this.messages.push(data.length);
      forEachFrame(data, (frame) => {
        if (socket !== this.#socket) this.#admit(socket, frame);
        if (socket !== this.#socket) return;
        if (classifyDatagram(frame) === datagramClass.control) this.#endpoint.handle(frame, performance.now());
        else this.datagrams.push(Uint8Array.from(frame));
      });
      for (let event = this.#endpoint.nextEvent(); event !== null; event = this.#endpoint.nextEvent()) {
        if (event.type !== 'message') continue;
        const answer = this.#options.reply?.(JSON.parse(event.text) as SignalRequest) ?? null;
        if (answer !== null) this.#endpoint.send(JSON.stringify(answer), performance.now());
      }
      this.#write();
    });
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#endpoint.disconnected(performance.now());
    });
  }

  /** As the SFU does: a connection answers pings, and takes over with its `open`. */
  #admit(socket: WebSocket, bytes: Uint8Array): void {
    const now = performance.now();
    if (bytes[0] === controlType.open) {
      this.#socket?.close(closeCodes.replaced.wire);
      this.#socket = socket;
      this.#endpoint.connected(now);
      return;
    }
    const frame = decodeControlFrame(bytes);
    if (typeof frame === 'string' || frame.type !== 'ping') return;
    const { id, time: echoedTime } = frame;
    socket.send(encodeFrame(encodeControlFrame({ type: 'pong', id, echoedTime, time: Math.floor(now) })));
  }

  #write(): void {
    const now = performance.now();
    for (let frame = this.#endpoint.nextOutput(now); frame !== null; frame = this.#endpoint.nextOutput(now)) {
      this.#socket?.send(encodeFrame(frame));
    }
  }
}
