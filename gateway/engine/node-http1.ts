/**
 * An application served by Node's own HTTP/1.1 server and `ws`, at 1.3 to 2 times the CPU of uWebSockets.js per message.
 * It serves where that has no binary, and connections that it cannot take.
 */
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { canonicalSocketAddress } from '../addresses.ts';
import type { HttpReply } from '../problem.ts';
import { NodeExchange } from './node-exchange.ts';
import {
  maxSocketBufferBytes,
  reactionTo,
  type EngineSocket,
  type HttpApplication,
  type RequestHead,
  type SocketEvents,
  type UpgradeDecision,
  type WebSocketRoute,
} from './http-engine.ts';

const maxHeaderBytes = 8192;
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 30_000;
const keepAliveTimeoutMs = 10_000;
const closeGraceMs = 2000;

/** `node:http` with `ws`: one server that does not listen, and the sockets that came out of it. */
export class NodeHttp1 {
  readonly server: Server;
  readonly #application: HttpApplication;
  readonly #connections = new Set<Socket>();
  readonly #endpoints: ReadonlyMap<string, Endpoint>;

  constructor(application: HttpApplication) {
    this.#application = application;
    this.#endpoints = new Map(application.webSockets.map((route) => [route.path, new Endpoint(route)]));
    this.server = this.#createServer();
  }

  close(): void {
    // Ends the watch over its time-outs as well, which the demultiplexer began.
    this.server.close();
    for (const endpoint of this.#endpoints.values()) endpoint.close();
    for (const socket of this.#connections) socket.destroy();
  }

  #createServer(): Server {
    const server = createServer({
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      noDelay: true,
    });
    // For answers: a client that takes nothing, or is gone without a word. Those that are held are held for less.
    server.setTimeout(requestTimeoutMs);
    server.on('connection', (socket: Socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response);
    });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, first: Buffer) => {
      this.#upgrade(request, socket, first);
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      const code = error.code === 'HPE_HEADER_OVERFLOW' ? 'headers-too-large' : 'bad-request';
      refuseRaw(socket, this.#application.refuse(code));
    });
    return server;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const head = headOf(request);
    if (!head.path.startsWith('/')) {
      give(response, this.#application.refuse('bad-request'), true);
      return;
    }
    const reaction = reactionTo(this.#application, head);
    if ('stream' in reaction) {
      const exchange = new NodeExchange(response, {
        reply: (reply, bodyOver) => {
          give(response, reply, !bodyOver);
        },
        begin: ({ status, headers }) => {
          response.writeHead(status, headers);
          response.flushHeaders();
        },
      });
      exchange.start(request, reaction, (error) => this.#application.failed(error));
      return;
    }
    const chunks: Buffer[] = [];
    let length = 0;
    const refuse = (): void => {
      request.removeAllListeners('data').removeAllListeners('end').resume();
      give(response, this.#application.refuse('payload-too-large'), true);
    };
    if (Number(head.header('content-length') || 0) > reaction.maxBodyBytes) {
      refuse();
      return;
    }
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > reaction.maxBodyBytes) refuse();
      else chunks.push(chunk);
    });
    request.on('end', () => {
      this.#settle(response, async () => reaction.handle(Buffer.concat(chunks)));
    });
  }

  #settle(response: ServerResponse, handle: () => Promise<HttpReply>): void {
    handle().then(
      (reply) => {
        give(response, reply, false);
      },
      (error: unknown) => {
        give(response, this.#application.failed(error), false);
      },
    );
  }

  #upgrade(request: IncomingMessage, socket: Duplex, first: Buffer): void {
    // An unanswered 'error' would end the process; 'close' follows and says all that is needed.
    socket.on('error', ignore);
    const head = headOf(request);
    const endpoint = this.#endpoints.get(head.path);
    if (endpoint === undefined || head.header('upgrade').toLowerCase() !== 'websocket') {
      refuseRaw(socket, this.#application.refuse('bad-request'));
      return;
    }
    Promise.resolve()
      .then(() => endpoint.route.upgrade(head))
      .then((decision) => {
        if (decision.accept) endpoint.accept(request, socket, first, head, decision);
        else refuseRaw(socket, decision.reply);
      })
      .catch((error: unknown) => {
        refuseRaw(socket, this.#application.failed(error));
      });
  }
}

/** One WebSocket route, with the `ws` server object that carries its limits. */
class Endpoint {
  readonly route: WebSocketRoute;
  readonly #server: WebSocketServer;
  readonly #sockets = new Set<NodeSocket>();
  readonly #sweep: NodeJS.Timeout;
  #protocol = '';

  constructor(route: WebSocketRoute) {
    this.route = route;
    this.#server = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      clientTracking: false,
      maxPayload: route.maxMessageBytes,
      handleProtocols: () => this.#protocol,
    });
    this.#sweep = setInterval(
      () => {
        for (const socket of this.#sockets) socket.checkIdle(route.idleTimeoutSeconds * 1000);
      },
      (route.idleTimeoutSeconds * 1000) / 4,
    ).unref();
  }

  accept(
    request: IncomingMessage,
    stream: Duplex,
    first: Buffer,
    head: RequestHead,
    decision: UpgradeDecision & { readonly accept: true },
  ): void {
    // Read by handleProtocols within this very call.
    this.#protocol = decision.protocol;
    this.#server.handleUpgrade(request, stream, first, (ws) => {
      const socket = new NodeSocket(ws, stream, head.remoteAddress, request.socket.remotePort ?? 0);
      this.#sockets.add(socket);
      ws.once('close', () => this.#sockets.delete(socket));
      socket.start(decision.open(socket));
    });
  }

  close(): void {
    clearInterval(this.#sweep);
    this.#server.close();
  }
}

class NodeSocket implements EngineSocket {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly #ws: WebSocket;
  readonly #stream: Duplex;
  #lastHeardMs = performance.now();
  #closing = false;

  constructor(ws: WebSocket, stream: Duplex, remoteAddress: string, remotePort: number) {
    this.#ws = ws;
    this.#stream = stream;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }

  start(events: SocketEvents): void {
    const heard = (): void => {
      this.#lastHeardMs = performance.now();
    };
    // Protocol violations; 'close' follows with the code.
    this.#ws.on('error', ignore);
    this.#ws.on('pong', heard).on('ping', heard);
    this.#ws.on('message', (data, isBinary) => {
      heard();
      if (!this.#closing) events.message(data as Buffer, isBinary);
    });
    this.#stream.on('drain', () => {
      if (!this.#closing) events.drain();
    });
    this.#ws.once('close', (code, reason) => {
      this.#closing = true;
      events.closed(code === 1005 ? 1000 : code, reason.toString());
    });
  }

  get bufferedBytes(): number {
    return this.#ws.bufferedAmount;
  }

  send(message: Uint8Array): boolean {
    if (this.#closing || this.#ws.readyState !== this.#ws.OPEN) return false;
    if (this.#ws.bufferedAmount > maxSocketBufferBytes) return false;
    this.#ws.send(message, sendOptions);
    return true;
  }

  cork(run: () => void): void {
    this.#stream.cork();
    try {
      run();
    } finally {
      this.#stream.uncork();
    }
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#ws.close(code, reason);
    setTimeout(() => {
      this.#ws.terminate();
    }, closeGraceMs).unref();
  }

  checkIdle(timeoutMs: number): void {
    const silentMs = performance.now() - this.#lastHeardMs;
    if (silentMs > timeoutMs) this.#ws.terminate();
    else if (silentMs > timeoutMs / 2) this.#ws.ping();
  }
}

const sendOptions = { binary: true, compress: false } as const;

function ignore(): void {
  // See the places of use.
}

function headOf(request: IncomingMessage): RequestHead {
  const target = request.url ?? '';
  const mark = target.indexOf('?');
  return {
    method: request.method ?? 'GET',
    path: mark === -1 ? target : target.slice(0, mark),
    query: mark === -1 ? '' : target.slice(mark + 1),
    header: (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value.join(', ') : (value ?? '');
    },
    remoteAddress: canonicalSocketAddress(request.socket.remoteAddress ?? ''),
  };
}

function give(response: ServerResponse, reply: HttpReply, closeConnection: boolean): void {
  if (response.headersSent || response.destroyed) return;
  const bodyless = reply.status === 204 || reply.status === 304;
  response.writeHead(reply.status, {
    ...reply.headers,
    ...(bodyless ? {} : { 'content-length': Buffer.byteLength(reply.body) }),
    ...(closeConnection ? { connection: 'close' } : {}),
  });
  response.end(bodyless || response.req.method === 'HEAD' ? undefined : reply.body);
}

/** Where there is no response object: before a request is understood, and in place of an upgrade. */
function refuseRaw(socket: Duplex, reply: HttpReply): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const headers = Object.entries({
    ...reply.headers,
    'content-length': Buffer.byteLength(reply.body),
    connection: 'close',
  });
  const head = headers.map(([name, value]) => `${name}: ${String(value)}\r\n`).join('');
  const status = `HTTP/1.1 ${String(reply.status)} ${STATUS_CODES[reply.status] ?? ''}\r\n`;
  socket.end(Buffer.concat([Buffer.from(`${status}${head}\r\n`), Buffer.from(reply.body)]), () => socket.destroy());
}
