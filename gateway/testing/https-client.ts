/** A small HTTPS and WebSocket client for tests: one connection per request, no certificate check. */
import { request, type RequestOptions } from 'node:https';
import { once } from 'node:events';
import WebSocket, { type ClientOptions } from 'ws';

export interface TestReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export function https(port: number, options: RequestOptions & { readonly body?: string | Buffer }): Promise<TestReply> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options;
    const outgoing = request({ host: '127.0.0.1', port, agent: false, rejectUnauthorized: false, ...rest }, (reply) => {
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('end', () => {
        resolve({ status: reply.statusCode ?? 0, headers: reply.headers, body: Buffer.concat(chunks).toString() });
      });
      reply.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

export interface Refusal {
  readonly status: number;
  readonly body: string;
}

/** A WebSocket that is open, or how it was refused. */
export function webSocket(
  port: number,
  path: string,
  protocols: readonly string[],
  options: ClientOptions = {},
): Promise<TestSocket | Refusal> {
  const ws = new WebSocket(`wss://127.0.0.1:${String(port)}${path}`, [...protocols], {
    rejectUnauthorized: false,
    perMessageDeflate: false,
    // As browsers do; `ws` itself offers nothing.
    ...{ ALPNProtocols: ['http/1.1'] },
    ...options,
  });
  return new Promise((resolve, reject) => {
    const socket = new TestSocket(ws);
    ws.once('open', () => {
      resolve(socket);
    });
    ws.once('unexpected-response', (outgoing, reply) => {
      let body = '';
      reply.on('data', (chunk: Buffer) => (body += chunk.toString()));
      reply.on('end', () => {
        outgoing.destroy();
        resolve({ status: reply.statusCode ?? 0, body });
      });
    });
    ws.once('error', reject);
  });
}

/** Keeps what arrives, so that no event is missed between two waits. */
export class TestSocket {
  readonly ws: WebSocket;
  readonly #messages: Buffer[] = [];
  readonly #waiting: ((message: Buffer) => void)[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;

  constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('error', () => undefined);
    ws.on('message', (data) => {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#messages.push(data as Buffer);
      else waiting(data as Buffer);
    });
    this.closed = once(ws, 'close').then(([code, reason]) => ({
      code: code as number,
      reason: (reason as Buffer).toString(),
    }));
  }

  next(): Promise<Buffer> {
    const message = this.#messages.shift();
    if (message !== undefined) return Promise.resolve(message);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** For tests in which being refused is the failure. */
export async function openWebSocket(
  port: number,
  path: string,
  protocols: readonly string[],
  options: ClientOptions = {},
): Promise<TestSocket> {
  const socket = await webSocket(port, path, protocols, options);
  if (socket instanceof TestSocket) return socket;
  throw new Error(`refused: ${String(socket.status)} ${socket.body}`);
}
