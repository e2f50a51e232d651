/**
 * The tunnel's WebSocket in Node. `ws` rather than undici's: it tells a refused upgrade's status and a certificate's
 * fault apart, where the standard interface knows only "closed, 1006".
 */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { ClientOptions, RawData } from 'ws';
import { ClientError } from '../errors.ts';
import { checkAnswer, errorOfResponse } from '../control/problem.ts';
import { tunnelSubprotocol } from '../control/index.ts';
import type { OpenTunnelSocket, TunnelClose, TunnelSocket } from '../control/index.ts';
import { maxMessageBytes } from '../../tunnel-protocol/index.ts';
import { openEdgeSocket } from './edge-socket.ts';
import { directRoute } from './proxy-route.ts';
import type { ProxyRoute } from './proxy-route.ts';
import { explainConnectionError, isFinalError } from './tls-trust.ts';
import type { TlsTrust } from './tls-trust.ts';

const maxProblemBytes = 16_384;
/** Firewalls reset what does not say that it is HTTP, and edges serve what does at less cost. */
const alpn = ['http/1.1'];

export function nodeSocketFactory(trust: TlsTrust, route: ProxyRoute = directRoute): OpenTunnelSocket {
  return (url, subprotocols) => new NodeSocket(url, subprotocols, trust, route);
}

class NodeSocket implements TunnelSocket {
  onopen: (() => void) | null = null;
  onmessage: ((message: Uint8Array) => void) | null = null;
  onclose: ((close: TunnelClose) => void) | null = null;
  readonly #socket: WebSocket;
  #error: ClientError | undefined;
  #final = false;
  #status: number | undefined;

  constructor(url: string, subprotocols: readonly string[], trust: TlsTrust, route: ProxyRoute) {
    const socket = new WebSocket(url, [...subprotocols], {
      createConnection: connectorFor(new URL(url), trust, route),
      perMessageDeflate: false,
      followRedirects: false,
      handshakeTimeout: 10_000,
      maxPayload: maxMessageBytes,
      // The bytes are a peer's, but no text is delivered: nothing needs the check.
      skipUTF8Validation: true,
    });
    this.#socket = socket;
    socket.binaryType = 'nodebuffer';
    socket.on('open', () => {
      this.#opened();
    });
    socket.on('message', (data, isBinary) => {
      if (isBinary) this.onmessage?.(asBytes(data));
    });
    socket.on('unexpected-response', (request, response) => {
      const status = response.statusCode ?? 0;
      this.#status = status;
      const head = { status, headers: { get: (name: string) => response.headers[name]?.toString() ?? null } };
      const foreign = checkAnswer(new URL(url), head);
      collectJson(response, (body) => {
        this.#fail(foreign ?? errorOfResponse(status, body), status >= 400 && status < 500 && status !== 429);
        request.destroy();
        // `ws` leaves this case to its user altogether: no `close` comes by itself.
        this.#closed(1006, '');
      });
    });
    socket.on('error', (error) => {
      // Faults of the server's handshake (RFC 6455 section 4.1) have no code, only `ws`'s words for them.
      if (/subprotocol|Sec-WebSocket|Upgrade header/i.test(error.message)) {
        this.#fail(new ClientError('edge-not-sallyport', { cause: error, detail: error.message }), true);
        return;
      }
      const explained = explainConnectionError(error);
      this.#fail(explained, isFinalError(explained));
    });
    socket.on('close', (wire, reason) => {
      this.#closed(wire, reason.toString('utf8'));
    });
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  send(message: Uint8Array): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  close(code: number, reason: string): void {
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.terminate();
    else this.#socket.close(code, reason);
  }

  #opened(): void {
    if (this.#socket.protocol === tunnelSubprotocol) {
      this.onopen?.();
      return;
    }
    this.#fail(new ClientError('edge-not-sallyport', { detail: 'the WebSocket selected no tunnel subprotocol' }), true);
    this.#socket.close(1002, '');
  }

  /** The first fault is the cause; what follows from it says less. */
  #fail(error: ClientError, final: boolean): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#final = final;
  }

  #closed(wire: number, reason: string): void {
    const { onclose } = this;
    this.onclose = null;
    onclose?.({
      wire,
      reason,
      ...(this.#error === undefined ? {} : { error: this.#error, final: this.#final }),
      ...(this.#status === undefined ? {} : { status: this.#status }),
    });
  }
}

/** For node:http's `createConnection`, which waits for the call of its second argument when nothing is returned. */
function connectorFor(url: URL, trust: TlsTrust, route: ProxyRoute): NonNullable<ClientOptions['createConnection']> {
  const secure = url.protocol === 'wss:';
  const target = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    tls: secure ? { trust, alpn } : null,
    proxy: { route, trust, secure },
  };
  const connect = (_: unknown, done: (error: Error | null, socket?: Socket) => void): void => {
    openEdgeSocket(target, (result) => {
      if (result instanceof Error) done(result);
      else done(null, result);
    });
  };
  // The types know the other form alone, in which the socket is returned.
  return connect as unknown as NonNullable<ClientOptions['createConnection']>;
}

function asBytes(data: RawData): Uint8Array {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return Array.isArray(data) ? Buffer.concat(data) : data;
}

/** Gives undefined for what is not JSON, too long, or cut off. */
function collectJson(response: NodeJS.ReadableStream, done: (body: unknown) => void): void {
  let text = '';
  let ended = false;
  const end = (body: unknown): void => {
    if (ended) return;
    ended = true;
    done(body);
  };
  response.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    if (text.length > maxProblemBytes) end(undefined);
  });
  response.on('end', () => {
    end(parseJson(Buffer.from(text, 'latin1').toString('utf8')));
  });
  response.on('error', () => {
    end(undefined);
  });
  response.on('close', () => {
    end(undefined);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
