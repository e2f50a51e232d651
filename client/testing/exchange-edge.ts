/** The server's end of HTTP carriers behind a `fetch`, for tests of the client's: the real machine, over a network that is described. */
import {
  ControlEndpoint,
  ExchangeServer,
  classifyDatagram,
  datagramClass,
  decodeTextBody,
  encodeTextBody,
  headerOfQuery,
} from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import type { ExchangeFetch, ExchangeFetchInit } from '../control/exchange-fetch.ts';

interface Call {
  readonly text: boolean;
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
}

export interface ExchangeEdgeOptions {
  /** Answers in place of the edge, where it returns something. */
  readonly intercept?: (init: ExchangeFetchInit) => Response | Error | Promise<never> | null;
  /** Streamed answers bring nothing before their end. */
  readonly buffers?: boolean;
}

export class ExchangeEdge {
  readonly datagrams: Uint8Array[] = [];
  /** `GET text`, `POST binary`, … */
  readonly requests: string[] = [];
  aborted = 0;
  readonly endpoint: ControlEndpoint;
  readonly #clock: ClientClock;
  readonly #options: ExchangeEdgeOptions;
  readonly #out: Uint8Array[] = [];
  #server: ExchangeServer<Call> | null = null;

  constructor(clock: ClientClock, options: ExchangeEdgeOptions = {}) {
    this.#clock = clock;
    this.#options = options;
    this.endpoint = new ControlEndpoint({ role: 'server', now: clock.now() });
    this.endpoint.connected(clock.now());
  }

  /** How the connection ended, by its close code; null while it lives. */
  get ended(): number | null {
    return this.#server?.ended?.wire ?? null;
  }

  readonly fetch: ExchangeFetch = async (url, init) => {
    const text = init.headers['accept'] === 'text/plain';
    this.requests.push(`${init.method} ${text ? 'text' : 'binary'}`);
    const instead = (await this.#options.intercept?.(init)) ?? null;
    if (instead instanceof Error) throw instead;
    return instead ?? this.#answer(new URL(url), init, text);
  };

  send(datagram: Uint8Array): void {
    this.#out.push(datagram);
    this.pump();
  }

  close(wire: number): void {
    this.#server?.close(wire);
    this.pump();
  }

  pump(): void {
    const now = this.#clock.now();
    while (this.endpoint.nextEvent() !== null);
    for (let frame = this.endpoint.nextOutput(now); frame !== null; frame = this.endpoint.nextOutput(now)) {
      this.#out.push(frame);
    }
    const server = this.#server;
    if (server === null) return;
    for (let output = server.nextOutput(now); output !== null; output = server.nextOutput(now)) {
      const { text, controller } = output.handle;
      if (output.type === 'write' && this.#options.buffers === true) continue;
      if (output.type === 'write') controller.enqueue(output.bytes);
      else if (output.type === 'answer') controller.enqueue(text ? encodeTextBody(null, output.body) : output.body);
      if (output.type !== 'write') controller.close();
    }
  }

  #answer({ search, pathname }: URL, { method, body, signal }: ExchangeFetchInit, text: boolean): Response {
    const header = headerOfQuery(search.slice(1));
    if (header === null) return new Response('', { status: 400 });
    const now = this.#clock.now();
    const carrier = pathname === '/stream' ? 'http-stream' : 'long-poll';
    const source = this.#source();
    this.#server ??= new ExchangeServer<Call>({
      ...{ carrier, connection: header.connection, now, source },
      deliver: (frame) => {
        if (classifyDatagram(frame) === datagramClass.control) this.endpoint.handle(frame, this.#clock.now());
        else this.datagrams.push(Uint8Array.from(frame));
      },
    });
    const server = this.#server;
    let call: Call | null = null;
    const answer = new ReadableStream<Uint8Array>({
      start: (controller) => {
        call = { text, controller };
      },
    });
    const opened = call as unknown as Call;
    signal.addEventListener('abort', () => {
      this.aborted++;
      server.aborted(opened);
      opened.controller.error(signal.reason);
    });
    const bytes = body instanceof Uint8Array ? body : new Uint8Array(0);
    if (method === 'GET' && carrier === 'http-stream') server.download(header, opened, now);
    else server.request(header, text ? (decodeTextBody(bytes)?.body ?? bytes) : bytes, opened, now);
    this.pump();
    return new Response(answer, { status: 200 });
  }

  #source(): ConstructorParameters<typeof ExchangeServer>[0]['source'] {
    const out = this.#out;
    return {
      get waiting() {
        return out.length > 0;
      },
      take: (room) => ((out[0]?.length ?? Infinity) <= room ? (out.shift() ?? null) : null),
    };
  }
}
