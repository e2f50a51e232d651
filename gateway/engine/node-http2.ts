/**
 * An application served by `node:http2`, for clients that offer h2. Without WebSockets over h2 (RFC 8441): told that
 * they may, browsers open theirs here, past uWebSockets.js.
 */
import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { canonicalSocketAddress } from '../addresses.ts';
import type { HttpReply } from '../problem.ts';
import { Http2Connection } from './http2-connection.ts';
import { reactionTo, type HttpApplication, type RequestHead } from './http-engine.ts';
import { NodeExchange } from './node-exchange.ts';

const maxHeaderBytes = 8192;
const maxHeaderPairs = 100;
const maxConcurrentStreams = 100;
/** Per connection, for all that its streams hold. */
const maxSessionMegabytes = 4;
/** Frames that the protocol allows nobody to send, and streams above the limit, before the connection is ended. */
const maxInvalidFrames = 100;
const maxRejectedStreams = 100;
const requestTimeoutMs = 30_000;
const sweepIntervalMs = 10_000;

/** Of a reply for HTTP/1.1, what must not be said in h2 (RFC 9113 section 8.2.2). */
const connectionHeaders = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade']);

export class NodeHttp2 {
  readonly server: Http2Server;
  readonly #application: HttpApplication;
  readonly #connections = new Set<Http2Connection>();
  readonly #sweep: NodeJS.Timeout;

  constructor(application: HttpApplication) {
    this.#application = application;
    this.server = createServer({
      settings: {
        maxConcurrentStreams,
        maxHeaderListSize: maxHeaderBytes,
        enableConnectProtocol: false,
        enablePush: false,
      },
      maxHeaderListPairs: maxHeaderPairs,
      maxSessionMemory: maxSessionMegabytes,
      maxSendHeaderBlockLength: maxHeaderBytes,
      maxSessionInvalidFrames: maxInvalidFrames,
      maxSessionRejectedStreams: maxRejectedStreams,
    });
    this.server.on('session', (session) => {
      this.#begin(session);
    });
    this.#sweep = setInterval(() => {
      const now = performance.now();
      for (const connection of this.#connections) connection.checkIdle(now);
    }, sweepIntervalMs).unref();
  }

  close(): void {
    clearInterval(this.#sweep);
    this.server.close();
    for (const connection of this.#connections) connection.destroy(constants.NGHTTP2_NO_ERROR);
  }

  #begin(session: ServerHttp2Session): void {
    const connection = new Http2Connection(session, performance.now());
    this.#connections.add(connection);
    // 'close' follows an error.
    session.on('error', ignore);
    session.once('close', () => this.#connections.delete(connection));
    session.on('stream', (stream, headers) => {
      connection.opened(stream);
      // 'close' follows, with a code.
      stream.on('error', ignore);
      stream.once('close', () => {
        connection.closed(stream, performance.now());
      });
      this.#answer(stream, headers);
    });
  }

  #answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const head = headOf(stream, headers);
    if (lengthOf(headers) > maxHeaderBytes) {
      refuse(stream, head, this.#application.refuse('headers-too-large'));
      return;
    }
    if (!head.path.startsWith('/') || head.method === 'CONNECT') {
      refuse(stream, head, this.#application.refuse('bad-request'));
      return;
    }
    const reaction = reactionTo(this.#application, head);
    // For the answer: a client that does not take it, and of a stream one that does not send either.
    stream.setTimeout(requestTimeoutMs, () => {
      stream.close(constants.NGHTTP2_CANCEL);
    });
    if ('stream' in reaction) {
      const exchange = new NodeExchange(stream, {
        reply: (reply, bodyOver) => {
          if (bodyOver) give(stream, head, reply);
          else refuse(stream, head, reply);
        },
        begin: (reply) => {
          if (!stream.headersSent) stream.respond(headersOf(reply));
        },
      });
      exchange.start(stream, reaction, (error) => this.#application.failed(error));
      return;
    }
    if (Number(head.header('content-length') || 0) > reaction.maxBodyBytes) {
      refuse(stream, head, this.#application.refuse('payload-too-large'));
      return;
    }
    const patience = setTimeout(() => {
      stream.close(constants.NGHTTP2_CANCEL);
    }, requestTimeoutMs).unref();
    stream.once('close', () => {
      clearTimeout(patience);
    });
    const chunks: Buffer[] = [];
    let length = 0;
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= reaction.maxBodyBytes) {
        chunks.push(chunk);
      } else {
        stream.removeAllListeners('data').removeAllListeners('end').resume();
        refuse(stream, head, this.#application.refuse('payload-too-large'));
      }
    });
    stream.once('end', () => {
      clearTimeout(patience);
      Promise.resolve()
        .then(() => reaction.handle(Buffer.concat(chunks)))
        .catch((error: unknown) => this.#application.failed(error))
        .then((reply) => {
          give(stream, head, reply);
        })
        .catch((error: unknown) => {
          this.#application.failed(error);
          stream.close(constants.NGHTTP2_INTERNAL_ERROR);
        });
    });
  }
}

/** Of names and values; what the setting announces, Node itself does not hold clients to. */
function lengthOf(headers: IncomingHttpHeaders): number {
  let length = 0;
  for (const [name, value] of Object.entries(headers)) {
    for (const text of typeof value === 'string' ? [value] : (value ?? [])) length += name.length + text.length;
  }
  return length;
}

function headOf(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): RequestHead {
  const target = headers[':path'] ?? '';
  const mark = target.indexOf('?');
  return {
    method: headers[':method'] ?? '',
    path: mark === -1 ? target : target.slice(0, mark),
    query: mark === -1 ? '' : target.slice(mark + 1),
    header: (name) => {
      // Node leaves the authority where h2 has it; Host means the same, and must not say otherwise (RFC 9113 section 8.3.1).
      const value = name === 'host' ? (headers[':authority'] ?? headers.host) : headers[name];
      return Array.isArray(value) ? value.join(', ') : (value ?? '');
    },
    remoteAddress: canonicalSocketAddress(stream.session?.socket.remoteAddress ?? ''),
  };
}

function headersOf({ status, headers }: Omit<HttpReply, 'body'>): OutgoingHttpHeaders {
  const outgoing: OutgoingHttpHeaders = { ':status': status };
  for (const [name, value] of Object.entries(headers)) if (!connectionHeaders.has(name)) outgoing[name] = value;
  return outgoing;
}

function give(stream: ServerHttp2Stream, head: RequestHead, reply: HttpReply): void {
  if (stream.destroyed || stream.closed || stream.headersSent) return;
  const bodyless = reply.status === 204 || reply.status === 304;
  const headers = headersOf(reply);
  if (!bodyless) headers['content-length'] = Buffer.byteLength(reply.body);
  const ends = bodyless || head.method === 'HEAD';
  stream.respond(headers, { endStream: ends });
  if (!ends) stream.end(reply.body);
}

/** Answers before the request has come to its end, and wants no more of it (RFC 9113 section 8.1). */
function refuse(stream: ServerHttp2Stream, head: RequestHead, reply: HttpReply): void {
  give(stream, head, reply);
  stream.once('finish', () => {
    stream.close(constants.NGHTTP2_NO_ERROR);
  });
}

function ignore(): void {
  // See the place of use.
}
