/**
 * An application served by uWebSockets.js. Its rules that shape this file: a request object lives only until its handler
 * returns; every answer after that must be corked and not given once aborted; a socket must not be touched once it
 * closed (it throws); `send` returns 2 for a message it dropped; message memory is taken away on return. They hold for
 * requests, streams and WebSockets alike, so all three stand here, and the file is long.
 */
import { STATUS_CODES } from 'node:http';
import type * as uws from 'uWebSockets.js';
import type { TransportAddress } from '../../tunnel-protocol/index.ts';
import { formatAddress } from '../addresses.ts';
import type { HttpReply } from '../problem.ts';
import {
  maxSocketBufferBytes,
  reactionTo,
  type EngineSocket,
  type ExchangeEvents,
  type HttpApplication,
  type HttpExchange,
  type RequestHead,
  type SocketEvents,
  type StreamReaction,
  type WebSocketRoute,
} from './http-engine.ts';

interface UserData {
  readonly remote: TransportAddress;
  readonly open: (socket: EngineSocket) => SocketEvents;
  socket: UwsSocket | null;
  events: SocketEvents | null;
}

const noBytes = new Uint8Array(0);
/**
 * Of one write. With the header of its chunk a larger one does not fit the 16 KiB of a cork, and uWebSockets.js 20.49
 * then sends the header and loses the rest if the socket is full.
 */
const maxPieceBytes = 16_000;
/** Little beside what a socket has taken when it says that it takes more. */
const probeBytes = 512;
/** The constant `DISABLED`, which the typings lack. */
const noCompression = 0;

/** Serves one application on any number of apps of uWebSockets.js. */
export class UwsApplication {
  readonly #application: HttpApplication;
  readonly #peerBehind: (address: string) => TransportAddress | null;

  /** `peerBehind` tells who is behind an address that is this process's own; null for any other. */
  constructor(application: HttpApplication, peerBehind: (address: string) => TransportAddress | null) {
    this.#application = application;
    this.#peerBehind = peerBehind;
  }

  attach(app: uws.TemplatedApp): void {
    for (const route of this.#application.webSockets) app.ws(route.path, this.#behaviour(route));
    app.any('/*', (res, req) => {
      this.#answer(res, req);
    });
  }

  #answer(res: uws.HttpResponse, req: uws.HttpRequest): void {
    const remote = this.#remoteOf(res);
    if (remote === null) {
      res.close();
      return;
    }
    const head = copyHead(req, remote.address);
    const exchange = new Exchange(res, head.method === 'HEAD');
    // It takes one of several lengths; what stands before it may have taken another (RFC 9112 section 6.3).
    if (!head.path.startsWith('/') || !/^\d*$/.test(head.header('content-length'))) {
      exchange.reply(this.#application.refuse('bad-request'), true);
      return;
    }
    const reaction = reactionTo(this.#application, head);
    const hasBody = Number(head.header('content-length') || 0) > 0 || head.header('transfer-encoding') !== '';
    if ('stream' in reaction) {
      this.#stream(res, exchange, reaction, hasBody);
      return;
    }
    const settle = (body: Uint8Array): void => {
      settleWith(exchange, () => reaction.handle(body), this.#application);
    };
    if (Number(head.header('content-length') || 0) > reaction.maxBodyBytes) {
      exchange.reply(this.#application.refuse('payload-too-large'), true);
    } else if (hasBody) {
      this.#readBody(res, exchange, reaction.maxBodyBytes, settle);
    } else {
      settle(noBytes);
    }
  }

  #stream(res: uws.HttpResponse, exchange: Exchange, reaction: StreamReaction, hasBody: boolean): void {
    const stream = new StreamExchange(res, exchange, !hasBody);
    const guarded = (run: () => void): void => {
      try {
        run();
      } catch (error) {
        stream.reply(this.#application.failed(error));
      }
    };
    guarded(() => {
      stream.events = reaction.stream(stream);
      if (!hasBody && !exchange.over) stream.events.data(noBytes, true);
    });
    // A response that is over must not be touched.
    if (!hasBody || exchange.over) return;
    res.onData((chunk, isLast) => {
      stream.bodyOver ||= isLast;
      guarded(() => {
        if (!exchange.over) stream.events?.data(new Uint8Array(chunk), isLast);
      });
    });
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
        data.socket = new UwsSocket(ws, data.remote);
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
    // It goes by the key alone. A proxy that took the other headers out does not know that an upgrade is under way.
    if (req.getHeader('upgrade').toLowerCase() !== 'websocket') {
      this.#answer(res, req);
      return;
    }
    const remote = this.#remoteOf(res);
    if (remote === null) {
      res.close();
      return;
    }
    const head = copyHead(req, remote.address);
    const exchange = new Exchange(res, false);
    const key = head.header('sec-websocket-key');
    const extensions = head.header('sec-websocket-extensions');
    const decide = async (): Promise<HttpReply> => {
      const decision = await route.upgrade(head);
      if (!decision.accept) return decision.reply;
      const data: UserData = { remote, open: decision.open, socket: null, events: null };
      exchange.upgrade(() => {
        res.upgrade(data, key, decision.protocol, extensions, context);
      });
      return { status: 101, headers: {}, body: '' };
    };
    settleWith(exchange, decide, this.#application);
  }

  /** Null: the client has reset the connection, so that the system has forgotten who it was. */
  #remoteOf(res: uws.HttpResponse): TransportAddress | null {
    const bytes = new Uint8Array(res.getRemoteAddress());
    if (bytes.length === 0) return null;
    const address = formatAddress(bytes);
    // uWebSockets.js does not tell the port.
    return this.#peerBehind(address) ?? { address, port: 0 };
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
  onAborted: (() => void) | null = null;

  constructor(res: uws.HttpResponse, isHead: boolean) {
    this.#res = res;
    this.#isHead = isHead;
    res.onAborted(() => {
      const wasOver = this.over;
      this.over = true;
      if (!wasOver) this.onAborted?.();
    });
  }

  reply(reply: HttpReply, closeConnection: boolean): void {
    if (this.over) return;
    this.over = true;
    this.#res.cork(() => {
      const res = this.#res.writeStatus(`${String(reply.status)} ${STATUS_CODES[reply.status] ?? ''}`);
      for (const [name, value] of Object.entries(reply.headers)) res.writeHeader(name, value);
      // An undefined length would be sent as 2^63. RFC 9110 section 8.6: 204 has none, and 304 need not have one.
      if (reply.status === 204 || reply.status === 304) {
        if (closeConnection) res.endWithoutBody(0, true);
        else res.endWithoutBody();
      } else if (this.#isHead) res.endWithoutBody(Buffer.byteLength(reply.body), closeConnection);
      else res.end(reply.body, closeConnection);
    });
  }

  upgrade(run: () => void): void {
    if (this.over) return;
    this.over = true;
    this.#res.cork(run);
  }
}

/**
 * One response that may come in parts. A write that returned false has been buffered, and nothing tells how much of it
 * still is: so the first bytes of the next write are a probe, and the rest waits here until a probe goes through.
 */
class StreamExchange implements HttpExchange {
  readonly #res: uws.HttpResponse;
  readonly #exchange: Exchange;
  events: ExchangeEvents | null = null;
  bodyOver: boolean;
  #begun = false;
  #buffering = false;
  #held: Uint8Array | null = null;

  constructor(res: uws.HttpResponse, exchange: Exchange, bodyOver: boolean) {
    this.#res = res;
    this.#exchange = exchange;
    this.bodyOver = bodyOver;
    exchange.onAborted = () => this.events?.aborted();
    res.onWritable(() => {
      this.#writable();
      return true;
    });
  }

  reply(reply: HttpReply): void {
    if (this.#begun) {
      // Only by breaking off can it still be told from a good answer.
      if (!this.#exchange.over) this.#res.close();
      return;
    }
    // The rest of a body that is not wanted any more would be read as the next request.
    this.#exchange.reply(reply, !this.bodyOver);
  }

  begin({ status, headers }: Omit<HttpReply, 'body'>): void {
    if (this.#exchange.over || this.#begun) return;
    this.#begun = true;
    this.#res.cork(() => {
      const res = this.#res.writeStatus(`${String(status)} ${STATUS_CODES[status] ?? ''}`);
      for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
    });
  }

  write(bytes: Uint8Array): boolean {
    if (this.#exchange.over) return true;
    if (this.#held === null) return this.#put(bytes);
    this.#held = Buffer.concat([this.#held, bytes]);
    return false;
  }

  end(): void {
    if (this.#exchange.over) return;
    if (this.#held !== null) this.#write(this.#held);
    this.#exchange.over = true;
    this.#res.cork(() => {
      this.#res.end(undefined, !this.bodyOver);
    });
  }

  #writable(): void {
    if (this.#exchange.over) return;
    // With a listener there is, only a cork makes it write what it has buffered.
    this.#res.cork(noop);
    const held = this.#held;
    this.#held = null;
    if (held === null || this.#put(held)) this.events?.drain();
  }

  #put(bytes: Uint8Array): boolean {
    if (!this.#buffering || bytes.length <= probeBytes) return this.#write(bytes);
    if (!this.#write(bytes.subarray(0, probeBytes))) {
      this.#held = bytes.subarray(probeBytes);
      return false;
    }
    return this.#write(bytes.subarray(probeBytes));
  }

  #write(bytes: Uint8Array): boolean {
    let taken = true;
    for (let at = 0; at < bytes.length; at += maxPieceBytes) {
      this.#res.cork(() => {
        taken = this.#res.write(bytes.subarray(at, at + maxPieceBytes));
      });
    }
    this.#buffering = !taken;
    return taken;
  }
}

function noop(): void {
  // See the place of use.
}

/** What `send` returns. */
const sendOutcome = { sent: 1, dropped: 2 } as const;

class UwsSocket implements EngineSocket {
  readonly copies = true;
  readonly remoteAddress: string;
  readonly remotePort: number;
  #ws: uws.WebSocket<UserData> | null;
  /** False only where it is known that nothing is buffered, which is cheaper than to ask each time. */
  #mayBuffer = false;

  constructor(ws: uws.WebSocket<UserData>, { address, port }: TransportAddress) {
    this.#ws = ws;
    this.remoteAddress = address;
    this.remotePort = port;
  }

  get bufferedBytes(): number {
    if (!this.#mayBuffer || this.#ws === null) return 0;
    const bytes = this.#ws.getBufferedAmount();
    this.#mayBuffer = bytes > 0;
    return bytes;
  }

  send(message: Uint8Array): boolean {
    if (this.#ws === null) return false;
    const outcome = this.#ws.send(message, true, false);
    if (outcome !== sendOutcome.sent) this.#mayBuffer = true;
    return outcome !== sendOutcome.dropped;
  }

  cork(run: () => void): void {
    if (this.#ws === null) run();
    else {
      this.#ws.cork(run);
      // What a message was told within it is not the last word.
      this.#mayBuffer = true;
    }
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

function copyHead(req: uws.HttpRequest, remoteAddress: string): RequestHead {
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
    remoteAddress,
  };
}
