/**
 * What the gateway needs of an HTTP server, so that uWebSockets.js and Node's own server are interchangeable. An
 * engine moves bytes; what they mean is the application's business.
 */
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
  /** The peer of the connection, canonical. */
  readonly remoteAddress: string;
}

/** What the application does with a request; chosen by its head alone, before a byte of its body is read. */
export interface Reaction {
  /** A longer body is answered by `payload-too-large`, and the connection is closed. */
  readonly maxBodyBytes: number;
  /** `body` belongs to the handler. A rejection is answered by {@link HttpApplication.failed}. */
  readonly handle: (body: Uint8Array) => HttpReply | Promise<HttpReply>;
}

export interface HttpApplication {
  readonly route: (head: RequestHead) => Reaction;
  readonly webSockets: readonly WebSocketRoute[];
  /** Makes the reply for a request that the engine itself refuses. */
  readonly refuse: (code: 'bad-request' | 'payload-too-large' | 'headers-too-large') => HttpReply;
  /** A handler threw: counts or logs it, and makes the reply. */
  readonly failed: (error: unknown) => HttpReply;
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

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface HttpEngine {
  readonly name: 'uws' | 'node';
  /**
   * Listens on one more address; `::` takes IPv4 as well. Port 0 lets the system choose. Returns the port.
   * Rejects with {@link ListenError}.
   */
  listen(address: string, port: number): Promise<number>;
  /** Takes no more connections; those open go on. Idempotent. */
  stopListening(): void;
  /** New connections get the files' present content. Throws, and changes nothing, when they are not usable. */
  reloadCertificate(): Promise<void>;
  /** Closes every connection. Idempotent. */
  close(): Promise<void>;
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
