/**
 * The tunnel's WebSocket in Node. `ws` rather than undici's: it tells a refused upgrade's status and a certificate's
 * fault apart, where the standard interface knows only "closed, 1006".
 */
import { WebSocket } from 'ws';
import type { RawData } from 'ws';
import { ClientError } from '../errors.ts';
import { errorOfResponse } from '../control/problem.ts';
import { tunnelSubprotocol } from '../control/index.ts';
import type { OpenTunnelSocket, TunnelClose, TunnelSocket } from '../control/index.ts';
import { maxMessageBytes } from '../../tunnel-protocol/index.ts';
import { explainConnectionError, isCertificateError } from './tls-trust.ts';
import type { TlsTrust } from './tls-trust.ts';

const maxProblemBytes = 16_384;
/** `ws` itself offers nothing; firewalls reset what does not say that it is HTTP, and edges serve what does at less cost. */
const http1 = { ALPNProtocols: ['http/1.1'] };

export function nodeSocketFactory(trust: TlsTrust): OpenTunnelSocket {
  return (url, subprotocols) => new NodeSocket(url, subprotocols, trust);
}

class NodeSocket implements TunnelSocket {
  onopen: (() => void) | null = null;
  onmessage: ((message: Uint8Array) => void) | null = null;
  onclose: ((close: TunnelClose) => void) | null = null;
  readonly #socket: WebSocket;
  #error: ClientError | undefined;
  #final = false;

  constructor(url: string, subprotocols: readonly string[], trust: TlsTrust) {
    const socket = new WebSocket(url, [...subprotocols], {
      ...trust,
      ...http1,
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
      collectJson(response, (body) => {
        this.#fail(errorOfResponse(status, body), status >= 400 && status < 500 && status !== 429);
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
      this.#fail(explained, isCertificateError(explained));
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
    onclose?.({ wire, reason, ...(this.#error === undefined ? {} : { error: this.#error, final: this.#final }) });
  }
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
