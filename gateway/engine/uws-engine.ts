/**
 * The first engine: uWebSockets.js. Its rules that shape this file: a request object lives only until its handler
 * returns; every answer after that must be corked and not given once aborted; a socket must not be touched once it
 * closed (it throws); `send` returns 2 for a message it dropped; message memory is taken away on return.
 */
import { STATUS_CODES } from 'node:http';
import type * as uws from 'uWebSockets.js';
import { formatAddress } from '../addresses.ts';
import type { HttpReply } from '../problem.ts';
import {
  ListenError,
  maxSocketBufferBytes,
  type CertificateFiles,
  type EngineSocket,
  type HttpApplication,
  type HttpEngine,
  type RequestHead,
  type SocketEvents,
  type WebSocketRoute,
} from './http-engine.ts';
import { probePort } from './probe-port.ts';

type Uws = typeof uws;
type ListenSocket = uws.us_listen_socket;

interface Listener {
  readonly address: string;
  readonly port: number;
  socket: ListenSocket;
}

interface UserData {
  readonly remoteAddress: string;
  readonly open: (socket: EngineSocket) => SocketEvents;
  socket: UwsSocket | null;
  events: SocketEvents | null;
}

const noBytes = new Uint8Array(0);
/** The constant `DISABLED`, which the typings lack. */
const noCompression = 0;

/** Throws when the certificate files are not usable. The native module is given, because it may not load everywhere. */
export function createUwsEngine(native: Uws, files: CertificateFiles, application: HttpApplication): HttpEngine {
  return new UwsEngine(native, files, application);
}

class UwsEngine implements HttpEngine {
  readonly name = 'uws';
  readonly #native: Uws;
  readonly #files: CertificateFiles;
  readonly #application: HttpApplication;
  /** The newest serves new connections; those before it, from certificates before, serve theirs until close. */
  readonly #apps: uws.TemplatedApp[] = [];
  #listeners: Listener[] = [];

  constructor(native: Uws, files: CertificateFiles, application: HttpApplication) {
    this.#native = native;
    this.#files = files;
    this.#application = application;
    this.#apps.push(this.#createApp());
  }

  /**
   * uWebSockets.js shares its port by SO_REUSEPORT with whoever else does, so a second edge by mistake would get half of
   * the first one's connections: hence the probe. Its exclusive mode cannot bind while connections of an earlier process
   * are in TIME-WAIT.
   */
  async listen(address: string, port: number): Promise<number> {
    const free = await probePort(address, port);
    const socket = this.#tryListen(address, free);
    if (socket === null) throw new ListenError('EADDRINUSE', address, port);
    this.#listeners.push({ address, port: free, socket });
    return free;
  }

  stopListening(): void {
    for (const { socket } of this.#listeners) this.#native.us_listen_socket_close(socket);
    this.#listeners = [];
  }

  /** A context cannot be changed, so a second app listens on the same port before the first one's listener goes. */
  reloadCertificate(): Promise<void> {
    const app = this.#createApp();
    this.#apps.push(app);
    for (const listener of this.#listeners) {
      const fresh = this.#tryListen(listener.address, listener.port);
      if (fresh === null) return Promise.reject(new ListenError('EADDRINUSE', listener.address, listener.port));
      this.#native.us_listen_socket_close(listener.socket);
      listener.socket = fresh;
    }
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.stopListening();
    for (const app of this.#apps.splice(0)) app.close();
    return Promise.resolve();
  }

  #tryListen(address: string, port: number): ListenSocket | null {
    let found: ListenSocket | null = null;
    this.#apps.at(-1)?.listen(address, port, (socket) => {
      found = socket === false ? null : socket;
    });
    return found;
  }

  #createApp(): uws.TemplatedApp {
    const { certFile, keyFile } = this.#files;
    const app = this.#native.SSLApp({ cert_file_name: certFile, key_file_name: keyFile });
    for (const route of this.#application.webSockets) app.ws(route.path, this.#behaviour(route));
    app.any('/*', (res, req) => {
      this.#answer(res, req);
    });
    return app;
  }

  #answer(res: uws.HttpResponse, req: uws.HttpRequest): void {
    const head = copyHead(res, req);
    const exchange = new Exchange(res, head.method === 'HEAD');
    if (!head.path.startsWith('/')) {
      exchange.reply(this.#application.refuse('bad-request'), true);
      return;
    }
    const reaction = this.#application.route(head);
    const settle = (body: Uint8Array): void => {
      settleWith(exchange, () => reaction.handle(body), this.#application);
    };
    const announced = Number(head.header('content-length') || 0);
    if (announced > reaction.maxBodyBytes) {
      exchange.reply(this.#application.refuse('payload-too-large'), true);
    } else if (announced === 0 && head.header('transfer-encoding') === '') {
      settle(noBytes);
    } else {
      this.#readBody(res, exchange, reaction.maxBodyBytes, settle);
    }
  }

  #readBody(res: uws.HttpResponse, exchange: Exchange, limit: number, done: (body: Uint8Array) => void): void {
    const chunks: Uint8Array[] = [];
    let length = 0;
    res.onData((chunk, isLast) => {
      if (exchange.over) return;
      length += chunk.byteLength;
      if (length > limit) {
        exchange.reply(this.#application.refuse('payload-too-large'), true);
        return;
      }
      chunks.push(new Uint8Array(chunk.slice(0)));
      if (isLast) done(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
    });
  }

  #behaviour(route: WebSocketRoute): uws.WebSocketBehavior<UserData> {
    return {
      maxPayloadLength: route.maxMessageBytes,
      maxBackpressure: maxSocketBufferBytes,
      idleTimeout: route.idleTimeoutSeconds,
      sendPingsAutomatically: true,
      compression: noCompression,
      upgrade: (res, req, context) => {
        this.#upgrade(route, res, req, context);
      },
      open: (ws) => {
        const data = ws.getUserData();
        data.socket = new UwsSocket(ws, data.remoteAddress);
        data.events = data.open(data.socket);
        if (data.socket.isForgotten) data.events.closed(1006, '');
      },
      message: (ws, message, isBinary) => {
        ws.getUserData().events?.message(new Uint8Array(message), isBinary);
      },
      drain: (ws) => {
        ws.getUserData().events?.drain();
      },
      close: (ws, code, message) => {
        const { socket, events } = ws.getUserData();
        socket?.forget();
        events?.closed(code, code === 1006 ? '' : Buffer.from(message).toString());
      },
    };
  }

  #upgrade(route: WebSocketRoute, res: uws.HttpResponse, req: uws.HttpRequest, context: uws.us_socket_context_t): void {
    const head = copyHead(res, req);
    const exchange = new Exchange(res, false);
    const key = head.header('sec-websocket-key');
    const extensions = head.header('sec-websocket-extensions');
    const decide = async (): Promise<HttpReply> => {
      const decision = await route.upgrade(head);
      if (!decision.accept) return decision.reply;
      const data: UserData = { remoteAddress: head.remoteAddress, open: decision.open, socket: null, events: null };
      exchange.upgrade(() => {
        res.upgrade(data, key, decision.protocol, extensions, context);
      });
      return { status: 101, headers: {}, body: '' };
    };
    settleWith(exchange, decide, this.#application);
  }
}

/** Answers with what `handle` makes, now or later; what it throws becomes the application's reply. */
function settleWith(
  exchange: Exchange,
  handle: () => HttpReply | Promise<HttpReply>,
  application: HttpApplication,
): void {
  const fail = (error: unknown): void => {
    exchange.reply(application.failed(error), false);
  };
  try {
    const reply = handle();
    if (!(reply instanceof Promise)) exchange.reply(reply, false);
    else reply.then((late) => { exchange.reply(late, false); }).catch(fail); // prettier-ignore
  } catch (error) {
    fail(error);
  }
}

/** One response: given at most once, never after the client went away. */
class Exchange {
  readonly #res: uws.HttpResponse;
  readonly #isHead: boolean;
  over = false;

  constructor(res: uws.HttpResponse, isHead: boolean) {
    this.#res = res;
    this.#isHead = isHead;
    res.onAborted(() => {
      this.over = true;
    });
  }

  reply(reply: HttpReply, closeConnection: boolean): void {
    if (this.over) return;
    this.over = true;
    this.#res.cork(() => {
      const res = this.#res.writeStatus(`${String(reply.status)} ${STATUS_CODES[reply.status] ?? ''}`);
      for (const [name, value] of Object.entries(reply.headers)) res.writeHeader(name, value);
      if (reply.status === 204 || reply.status === 304) res.endWithoutBody(undefined, closeConnection);
      else if (this.#isHead) res.endWithoutBody(Buffer.byteLength(reply.body), closeConnection);
      else res.end(reply.body, closeConnection);
    });
  }

  upgrade(run: () => void): void {
    if (this.over) return;
    this.over = true;
    this.#res.cork(run);
  }
}

class UwsSocket implements EngineSocket {
  readonly remoteAddress: string;
  /** uWebSockets.js does not tell it. */
  readonly remotePort = 0;
  #ws: uws.WebSocket<UserData> | null;

  constructor(ws: uws.WebSocket<UserData>, remoteAddress: string) {
    this.#ws = ws;
    this.remoteAddress = remoteAddress;
  }

  get bufferedBytes(): number {
    return this.#ws?.getBufferedAmount() ?? 0;
  }

  send(message: Uint8Array): boolean {
    return this.#ws !== null && this.#ws.send(message, true, false) !== 2;
  }

  cork(run: () => void): void {
    if (this.#ws === null) run();
    else this.#ws.cork(run);
  }

  close(code: number, reason: string): void {
    this.#ws?.end(code, reason);
  }

  /** Closed within `open`, when nobody could be told yet. */
  get isForgotten(): boolean {
    return this.#ws === null;
  }

  forget(): void {
    this.#ws = null;
  }
}

function copyHead(res: uws.HttpResponse, req: uws.HttpRequest): RequestHead {
  const headers = new Map<string, string>();
  req.forEach((name, value) => {
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  });
  return {
    method: req.getCaseSensitiveMethod(),
    path: req.getUrl(),
    query: req.getQuery(),
    header: (name) => headers.get(name) ?? '',
    remoteAddress: formatAddress(new Uint8Array(res.getRemoteAddress())),
  };
}
