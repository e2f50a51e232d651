/** One HTTP request of a tunnel, as the tunnel's end answers it. */
import { encodeTextBody } from '../tunnel-protocol/index.ts';
import type { HttpExchange } from './engine/index.ts';

/** A cache that kept an answer, or a proxy that waited for its end, would break the tunnel. */
const tunnelHeaders = { 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no' } as const;

export class HttpCall {
  readonly #exchange: HttpExchange;
  readonly #asText: boolean;
  readonly #headers: Readonly<Record<string, string>>;
  #begun = false;

  /** `headers`: more for the answer. */
  constructor(exchange: HttpExchange, asText: boolean, headers: Readonly<Record<string, string>>) {
    this.#exchange = exchange;
    this.#asText = asText;
    const type = asText ? 'text/plain' : 'application/octet-stream';
    this.#headers = { ...headers, ...tunnelHeaders, 'content-type': type };
  }

  /** The bytes are given away. */
  answer(body: Uint8Array): void {
    if (this.#begun) {
      this.write(body);
      this.end();
      return;
    }
    const text = this.#asText ? encodeTextBody(null, body) : body;
    this.#exchange.reply({ status: 200, headers: this.#headers, body: text });
  }

  /** The answer is a stream. */
  begin(): void {
    this.#begun = true;
    this.#exchange.begin({ status: 200, headers: this.#headers });
  }

  write(bytes: Uint8Array): boolean {
    return this.#exchange.write(bytes);
  }

  end(): void {
    this.#exchange.end();
  }
}
