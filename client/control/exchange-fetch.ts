/** What the HTTP carriers need of `fetch`: undici's and the browser's both satisfy it. */

export interface ExchangeFetchInit {
  readonly method: 'GET' | 'POST';
  readonly headers: Record<string, string>;
  readonly body?: Uint8Array | string | ReadableStream<Uint8Array>;
  /** Of a body that is a stream (Fetch standard, section 5.3): the answer may come after the body only. */
  readonly duplex?: 'half';
  readonly signal: AbortSignal;
  readonly cache?: 'no-store';
}

export interface ExchangeResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  /** Brings bytes as they come. */
  readonly body: ReadableStream<Uint8Array> | null;
  json(): Promise<unknown>;
}

export type ExchangeFetch = (url: string, init: ExchangeFetchInit) => Promise<ExchangeResponse>;
