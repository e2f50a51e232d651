/**
 * Requests on HTTP/2, many at once on one connection. Not undici's: there a POST waits until all other requests of its
 * connection have been answered, so beside a streamed GET, which never is, it would wait for ever.
 */
import { connect, constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';

export interface Http2Request {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | ReadableStream<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Http2Answer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: ReadableStream<Uint8Array>;
  /** Rejects for what is not JSON, or longer than 1 MiB. */
  json(): Promise<unknown>;
}

/** The server never saw the request: it can be made again on another connection. */
export class ConnectionClosing extends Error {}

/** More than a round trip's worth of what a tunnel may have in flight. */
const windowBytes = 1_048_576;
const readAheadBytes = 65_536;
const maxJsonBytes = 1_048_576;
/** Shorter than servers keep theirs. */
const idleMs = 8000;
const pongTimeoutMs = 2000;

export class Http2Connection {
  readonly #session: ClientHttp2Session;
  #streams = 0;
  #checking = false;

  /** `socket` has negotiated h2. */
  constructor(origin: string, socket: Socket) {
    const session = connect(origin, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: windowBytes },
    });
    this.#session = session;
    session.once('connect', () => {
      session.setLocalWindowSize(windowBytes);
    });
    // Each stream of it fails with the same error, which its request tells.
    session.on('error', () => undefined);
    session.on('goaway', () => {
      session.close();
    });
    session.setTimeout(idleMs, () => {
      if (this.#streams === 0) session.close();
    });
  }

  /** Takes new requests. */
  get usable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** Resolves with the head of the answer. Rejects with the signal's reason, ConnectionClosing, or what cut the stream. */
  async request(url: URL, { method, headers, body, signal }: Http2Request): Promise<Http2Answer> {
    signal?.throwIfAborted();
    if (!this.usable) throw new ConnectionClosing('the connection is closing');
    const length = body instanceof ReadableStream || body === undefined ? null : Buffer.byteLength(body);
    const stream = this.#session.request(
      {
        ...headers,
        ...(length === null ? {} : { 'content-length': String(length) }),
        [constants.HTTP2_HEADER_METHOD]: method,
        [constants.HTTP2_HEADER_AUTHORITY]: url.host,
        [constants.HTTP2_HEADER_PATH]: url.pathname + url.search,
        [constants.HTTP2_HEADER_SCHEME]: 'https',
      },
      { endStream: body === undefined },
    );
    this.#streams += 1;
    const cut = (): void => {
      stream.close(constants.NGHTTP2_CANCEL);
      this.#check();
    };
    signal?.addEventListener('abort', cut, { once: true });
    stream.once('close', () => {
      this.#streams -= 1;
      signal?.removeEventListener('abort', cut);
    });
    if (body instanceof ReadableStream) void upload(body, stream);
    else if (body !== undefined) stream.end(body);
    try {
      return await answerOf(stream, signal);
    } catch (error) {
      // RFC 9113 section 8.7: it was not looked at. It had left when the server's goodbye came.
      if (stream.rstCode !== constants.NGHTTP2_REFUSED_STREAM || body instanceof ReadableStream) throw error;
      this.#session.close();
      throw new ConnectionClosing('the server refused the stream', { cause: error });
    }
  }

  /** Requests under way go on to their end. */
  close(): void {
    this.#session.close();
  }

  /** A request may have been given up because the connection is dead; TCP would take many minutes to notice. */
  #check(): void {
    if (this.#checking || !this.usable) return;
    this.#checking = true;
    const timer = setTimeout(() => {
      this.#session.destroy(new Error('the connection does not answer any more'));
    }, pongTimeoutMs);
    this.#session.ping(() => {
      clearTimeout(timer);
      this.#checking = false;
    });
  }
}

function answerOf(stream: ClientHttp2Stream, signal: AbortSignal | undefined): Promise<Http2Answer> {
  return new Promise((resolve, reject) => {
    let reason: Error | undefined;
    stream.on('error', (error: Error) => {
      reason = error;
    });
    const endReason = (): Error =>
      signal?.aborted === true ? (signal.reason as Error) : (reason ?? new Error('the server ended the stream'));
    stream.once('response', (headers) => {
      const body = bodyOf(stream, endReason);
      resolve({
        status: Number(headers[':status']),
        headers: {
          get: (name) => {
            const value = headers[name.toLowerCase()];
            return value === undefined ? null : Array.isArray(value) ? value.join(', ') : value;
          },
        },
        body,
        json: async () => JSON.parse(await textOf(body)) as unknown,
      });
    });
    // Without effect after the response.
    stream.once('close', () => {
      reject(endReason());
    });
  });
}

function bodyOf(stream: ClientHttp2Stream, endReason: () => Error): ReadableStream<Uint8Array> {
  let over = false;
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        stream.on('data', (chunk: Uint8Array) => {
          if (over) return;
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) <= 0) stream.pause();
        });
        stream.once('end', () => {
          // Also emitted for a stream that was reset, before `close`.
          if (over || stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR) return;
          over = true;
          controller.close();
        });
        stream.once('close', () => {
          if (over) return;
          over = true;
          controller.error(endReason());
        });
      },
      pull: () => {
        stream.resume();
      },
      cancel: () => {
        over = true;
        stream.close(constants.NGHTTP2_CANCEL);
      },
    },
    { highWaterMark: readAheadBytes, size: (chunk) => chunk.byteLength },
  );
}

/** Ends with its stream, whatever happens; the stream tells why. */
async function upload(body: ReadableStream<Uint8Array>, stream: ClientHttp2Stream): Promise<void> {
  const reader = body.getReader();
  let wake = (): void => undefined;
  stream.on('drain', () => {
    wake();
  });
  stream.once('close', () => {
    wake();
    reader.cancel().catch(() => undefined);
  });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (stream.destroyed || stream.closed) return;
      if (done) {
        stream.end();
        return;
      }
      if (stream.write(value)) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } catch {
    stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}

async function textOf(body: ReadableStream<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > maxJsonBytes) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
