/** One HTTP request of a tunnel: its body goes out whole or in parts, its answer comes in as it comes. */
import { decodeTextBody, encodeTextBody, exchangeQuery } from '../../tunnel-protocol/index.ts';
import type { ExchangeHeader, RequestKind } from '../../tunnel-protocol/index.ts';
import type { ClientError } from '../errors.ts';
import { asClientError } from '../errors.ts';
import type { ExchangeFetch, ExchangeResponse } from './exchange-fetch.ts';
import { errorOfResponse, isRecord } from './problem.ts';

export interface ExchangeRequestOptions {
  /** Of the carrier's route; the header becomes its query. */
  readonly url: string;
  readonly kind: RequestKind;
  readonly header: ExchangeHeader;
  readonly body: Uint8Array;
  readonly resumeToken: string;
  /** Bodies are base64, both ways. */
  readonly text: boolean;
  /**
   * `long-poll`: every request is one that a page of another origin need not ask leave for (Fetch standard, section 2.2.2): a
   * POST of text that begins with the token, without headers of its own. Its answer is bytes unless `text`.
   */
  readonly simple?: boolean | undefined;
  readonly fetch: ExchangeFetch;
  readonly explain?: ((error: unknown) => ClientError) | undefined;
}

export interface ExchangeRequestEvents {
  /** A part of the answer, borrowed. */
  received(chunk: Uint8Array): void;
  /** The answer is complete. Last. */
  ended(): void;
  /** No answer, or none of an exchange. `refused`: the edge's own word on the session. Last. */
  failed(error: ClientError, refused: boolean): void;
  /** The body takes more parts again. */
  drained(): void;
}

/** Parts of a streamed body that wait for the network, beyond which no more are to be written. */
const uploadAheadBytes = 16_384;

export class ExchangeRequest {
  readonly text: boolean;
  readonly #events: ExchangeRequestEvents;
  readonly #abort = new AbortController();
  #upload: ReadableStreamDefaultController<Uint8Array> | null = null;
  #over = false;

  constructor(options: ExchangeRequestOptions, events: ExchangeRequestEvents) {
    this.text = options.text;
    this.#events = events;
    void this.#run(options);
  }

  /** A part of the body of an `upload`, given away. False: no more until `drained`. */
  write(bytes: Uint8Array): boolean {
    if (this.#upload === null) return true;
    this.#upload.enqueue(bytes);
    return (this.#upload.desiredSize ?? 1) > 0;
  }

  /** The body of an `upload` is complete. */
  finish(): void {
    this.#upload?.close();
    this.#upload = null;
  }

  /** No event follows. Idempotent. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#upload = null;
    this.#abort.abort();
  }

  async #run(options: ExchangeRequestOptions): Promise<void> {
    const { url, header, fetch, explain = (error): ClientError => asClientError(error, 'edge-unreachable') } = options;
    try {
      const response = await fetch(`${url}?${exchangeQuery(header)}`, this.#init(options));
      if (response.status === 200) await this.#read(response);
      else await this.#refuse(response);
    } catch (error) {
      this.#end(() => {
        this.#events.failed(explain(error), false);
      });
    }
  }

  #init({ kind, body, resumeToken, text, simple = false }: ExchangeRequestOptions): Parameters<ExchangeFetch>[1] {
    const type = text ? 'text/plain' : 'application/octet-stream';
    const headers: Record<string, string> = { accept: type };
    const common = { headers, signal: this.#abort.signal, cache: 'no-store' } as const;
    if (simple) {
      headers['content-type'] = 'text/plain';
      return { ...common, method: 'POST', body: encodeTextBody(resumeToken, body) };
    }
    headers['authorization'] = `Bearer ${resumeToken}`;
    if (kind === 'poll' || kind === 'download') return { ...common, method: 'GET' };
    headers['content-type'] = type;
    if (kind === 'upload') return { ...common, method: 'POST', body: this.#uploadStream(), duplex: 'half' };
    return { ...common, method: 'POST', body: text ? encodeTextBody(null, body) : body };
  }

  #uploadStream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#upload = controller;
        },
        pull: () => {
          if (!this.#over) this.#events.drained();
        },
        cancel: () => {
          this.#upload = null;
        },
      },
      { highWaterMark: uploadAheadBytes, size: (chunk) => chunk.length },
    );
  }

  async #read(response: ExchangeResponse): Promise<void> {
    const text: Uint8Array[] = [];
    const reader = response.body?.getReader();
    while (reader !== undefined) {
      const { done, value } = await reader.read();
      if (this.#over) return;
      if (done) break;
      if (this.text) text.push(value.slice());
      else this.#events.received(value);
    }
    const whole = this.text ? decodeTextBody(concat(text))?.body : undefined;
    if (whole !== undefined) this.#events.received(whole);
    this.#end(() => {
      this.#events.ended();
    });
  }

  async #refuse(response: ExchangeResponse): Promise<void> {
    const { status } = response;
    const body = await response.json().catch(() => undefined);
    const error = errorOfResponse(status, body);
    // Whatever is between here and the edge answers with these statuses, too, but not with such a document.
    const refused = [400, 401, 403, 404].includes(status) && isRecord(body) && typeof body['code'] === 'string';
    this.#end(() => {
      this.#events.failed(error, refused);
    });
  }

  #end(tell: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#upload = null;
    tell();
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
