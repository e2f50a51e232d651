/**
 * What the gateway needs of HTTP servers, so that uWebSockets.js and Node's own are interchangeable. An engine moves
 * bytes; what they mean is the application's business.
 */
import type { Server as HttpServer } from 'node:http';
import type { Http2Server } from 'node:http2';
import type { CertificateSet } from '../certificates.ts';
import type { UwsHandler } from '../demux/index.ts';
import type { HttpReply } from '../problem.ts';

export interface RequestHead {
  /** In upper case. */
  readonly method: string;
  /** As it came: begins with a slash, is not decoded, has no query. */
  readonly path: string;
  /** Without the question mark; empty if there is none. */
  readonly query: string;
  /** The value, or an empty string. The name is in lower case. */
  readonly header: (name: string) => string;
  /** The client, canonical; behind a load balancer that speaks the PROXY protocol, the one that it names. */
  readonly remoteAddress: string;
}

/** What the application does with a request; chosen by its head alone, before a byte of its body is read. */
export interface Reaction {
  /** A longer body is answered by `payload-too-large`, and the connection is closed. */
  readonly maxBodyBytes: number;
  /** `body` belongs to the handler. A rejection is answered by {@link HttpApplication.failed}. */
  readonly handle: (body: Uint8Array) => HttpReply | Promise<HttpReply>;
}

/** The same where neither body is whole: both come in parts, or the answer much later. */
export interface StreamReaction {
  /** May answer at once. No event comes before it returns. */
  readonly stream: (exchange: HttpExchange) => ExchangeEvents;
}

export interface ExchangeEvents {
  /** The bytes are borrowed until the call returns. Exactly one part is the last, of a GET an empty one. */
  readonly data: (bytes: Uint8Array, isLast: boolean) => void;
  /** Less is buffered than before. */
  readonly drain: () => void;
  /** The request is gone, answered or not in full; nothing follows. Not called after `reply` or `end`. */
  readonly aborted: () => void;
}

/**
 * One request as its application answers it: by `reply`, or by `begin`, writes and `end`. All are no-ops once it is over.
 * A `reply` after `begin` breaks the answer off.
 */
export interface HttpExchange {
  reply(reply: HttpReply): void;
  /** The head of the answer; it may leave with the first write only. */
  begin(reply: Omit<HttpReply, 'body'>): void;
  /**
   * The bytes are taken in any case, and given away. False: they wait for the client, so write no more until `drain`.
   */
  write(bytes: Uint8Array): boolean;
  end(): void;
}

export interface HttpApplication {
  readonly route: (head: RequestHead) => Reaction | StreamReaction;
  readonly webSockets: readonly WebSocketRoute[];
  /** Makes the reply for a request that the engine itself refuses. */
  readonly refuse: (code: 'bad-request' | 'payload-too-large' | 'headers-too-large') => HttpReply;
  /** A handler threw: counts or logs it, and makes the reply. */
  readonly failed: (error: unknown) => HttpReply;
}

/** What the application does with the request; a fault of its choice is a fault of this one request. */
export function reactionTo(application: HttpApplication, head: RequestHead): Reaction | StreamReaction {
  try {
    return application.route(head);
  } catch (error) {
    return { maxBodyBytes: 0, handle: () => application.failed(error) };
  }
}

export interface WebSocketRoute {
  /** Exact. */
  readonly path: string;
  /** A longer message closes the connection. */
  readonly maxMessageBytes: number;
  /** Silence after which the connection is closed. Pings are sent before, so a live peer is never silent. */
  readonly idleTimeoutSeconds: number;
  readonly upgrade: (head: RequestHead) => UpgradeDecision | Promise<UpgradeDecision>;
}

export type UpgradeDecision =
  | {
      readonly accept: true;
      /** Subprotocol to select; one that the client offered. */
      readonly protocol: string;
      readonly open: (socket: EngineSocket) => SocketEvents;
    }
  | { readonly accept: false; readonly reply: HttpReply };

export interface SocketEvents {
  /** The bytes are borrowed until the call returns. */
  readonly message: (bytes: Uint8Array, isBinary: boolean) => void;
  /** Less is buffered than before. */
  readonly drain: () => void;
  /** The last event. `code` is 1006 where no close frame was received. */
  readonly closed: (code: number, reason: string) => void;
}

export interface EngineSocket {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** True where `send` has copied the message when it returns, so that its memory is free again. */
  readonly copies?: boolean;
  /** Bytes taken by `send` that the operating system has not taken yet. */
  readonly bufferedBytes: number;
  /**
   * Sends one binary message; the bytes are given away. False: it was not sent, because the socket is closed or more
   * than {@link maxSocketBufferBytes} are buffered.
   */
  send(message: Uint8Array): boolean;
  /** Makes several sends within `run` one write to the socket. */
  cork(run: () => void): void;
  /** Sends a close frame. `closed` follows. Idempotent. */
  close(code: number, reason: string): void;
}

/** Above this, `send` refuses. Low, because what waits here can no longer be dropped for its age. */
export const maxSocketBufferBytes = 262_144;

/**
 * The servers of one application, by protocol. None of them listens: connections come from the demultiplexer, which
 * takes this as its handlers.
 */
export interface HttpEngine {
  readonly name: 'uws' | 'node';
  /** Null: `http1` serves what uWebSockets.js would. */
  readonly uws: UwsHandler | null;
  /** TLS is done before. */
  readonly http1: HttpServer;
  readonly h2: Http2Server;
  /** New connections get these. Throws, and changes nothing, when they are not usable. */
  reloadCertificates(certificates: CertificateSet): void;
  /** Closes every connection. Idempotent. */
  close(): void;
}

/** `code` is the system's: EADDRINUSE, EACCES, EADDRNOTAVAIL, … */
export class ListenError extends Error {
  readonly code: string;
  readonly address: string;
  readonly port: number;

  constructor(code: string, address: string, port: number) {
    super(`cannot listen on ${address} port ${String(port)}: ${code}`);
    this.name = 'ListenError';
    this.code = code;
    this.address = address;
    this.port = port;
  }
}

export type { CertificateFiles } from '../certificates.ts';
