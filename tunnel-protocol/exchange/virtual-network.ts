/**
 * HTTP between an `ExchangeClient` and an `ExchangeServer` on a virtual clock, as bad as proxies make it: requests and
 * answers that are lost, noticed or not, repeated, overtaken, cut and chunked anywhere. For tests.
 */
import type { ClientOutput } from './client-types.ts';
import type { ExchangeClient } from './exchange-client.ts';
import { closingBody, exchangeQuery, headerOfQuery } from './exchange-header.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import type { ExchangeServer, ExchangeUpload, ServerOutput } from './exchange-server.ts';

/** Probabilities from 0 to 1, delays in ms. */
export interface Weather {
  readonly requestLost: number;
  readonly answerLost: number;
  /** Of what is lost, how much is never noticed. */
  readonly silent: number;
  readonly repeated: number;
  /** Per chunk of a stream. */
  readonly cut: number;
  readonly leastDelayMs: number;
  readonly mostDelayMs: number;
  /** Largest piece that a stream or body arrives in. */
  readonly chunkBytes: number;
  /** A write fills the socket. */
  readonly full: number;
}

export const fairWeather: Weather = {
  requestLost: 0,
  answerLost: 0,
  silent: 0,
  repeated: 0,
  cut: 0,
  leastDelayMs: 10,
  mostDelayMs: 10,
  chunkBytes: 65_536,
  full: 0,
};

/** One HTTP request, as either end knows it. */
export interface Call {
  readonly client: ExchangeClient;
  readonly header: ExchangeHeader;
  readonly kind: (ClientOutput & { type: 'request' })['kind'];
  /** The client has its answer, gave up, or heard of a failure. */
  over: boolean;
  /** What is sent from now on is lost: a stream has no holes. */
  cut: boolean;
  /** Nothing travels any more. */
  broken: boolean;
  /** Each direction of a stream keeps its order. */
  upAt: number;
  downAt: number;
}

/** The server's side of a call. A proxy may make two of one call; only one of them reaches the client. */
export interface Arrival {
  readonly call: Call;
  readonly answers: boolean;
  server: ExchangeServer<Arrival> | null;
  upload: ExchangeUpload | null;
}

/** Finds or makes the server of a request; a number is the close code to answer with. */
export type Accept = (header: ExchangeHeader, kind: Call['kind']) => ExchangeServer<Arrival> | number;

export class VirtualNetwork {
  now = 1000;
  weather: Weather = fairWeather;
  requests = 0;
  readonly #random: () => number;
  readonly #accept: Accept;
  /** Sorted by time; equal times keep their order. */
  readonly #due: { readonly at: number; readonly run: () => void }[] = [];
  readonly #calls = new Map<ExchangeClient, Map<number, Call>>();

  constructor(random: () => number, accept: Accept) {
    this.#random = random;
    this.#accept = accept;
  }

  nextAt(): number {
    return this.#due[0]?.at ?? Infinity;
  }

  /** Runs what is due now. */
  run(): void {
    while ((this.#due[0]?.at ?? Infinity) <= this.now) this.#due.shift()?.run();
  }

  at(time: number, run: () => void): void {
    let index = this.#due.length;
    while (index > 0 && (this.#due[index - 1] as { at: number }).at > time) index--;
    this.#due.splice(index, 0, { at: time, run });
  }

  /** What a client wants done. */
  fromClient(client: ExchangeClient, output: ClientOutput): void {
    const calls = this.#calls.get(client) ?? new Map<number, Call>();
    this.#calls.set(client, calls);
    if (output.type === 'request') {
      this.#request(client, calls, output);
      return;
    }
    const call = calls.get(output.exchange);
    if (call === undefined || call.broken) return;
    if (call.cut && output.type !== 'abort') return;
    if (output.type === 'abort') {
      call.over = true;
      if (!this.#chance(this.weather.silent)) this.#break(call, 'server');
    } else if (output.type === 'write') this.#upstream(call, output.bytes);
    else this.#upstream(call, null);
  }

  /** What a server wants done. */
  fromServer(output: ServerOutput<Arrival>): void {
    const { call, answers, server } = output.handle;
    if (!answers || call.cut || call.broken) return;
    if (output.type === 'answer') {
      if (this.#chance(this.weather.answerLost)) this.#loseFor(call);
      else this.#downstream(call, output.body, true);
    } else if (output.type === 'end') this.#downstream(call, null, true);
    else {
      if (this.#chance(this.weather.full)) {
        server?.blocked(output.handle);
        this.at(this.now + this.#delay(), () => {
          server?.drained(output.handle);
        });
      }
      if (this.#chance(this.weather.cut)) this.#cut(call);
      else this.#downstream(call, output.bytes, false);
    }
  }

  #request(client: ExchangeClient, calls: Map<number, Call>, output: ClientOutput & { type: 'request' }): void {
    this.requests++;
    // As it travels: in the URL.
    const header = headerOfQuery(exchangeQuery(output.header));
    if (header === null) throw new Error('a client made a bad header');
    const call: Call = {
      client,
      header,
      kind: output.kind,
      over: false,
      cut: false,
      broken: false,
      upAt: 0,
      downAt: 0,
    };
    calls.set(header.exchange, call);
    if (this.#chance(this.weather.requestLost)) {
      this.#loseFor(call);
      return;
    }
    const body = output.body.slice();
    const twice = call.kind !== 'upload' && this.#chance(this.weather.repeated);
    const firstAnswers = !twice || this.#chance(0.5);
    this.#arrive(call, body, firstAnswers);
    if (twice) this.#arrive(call, body, !firstAnswers);
  }

  #arrive(call: Call, body: Uint8Array, answers: boolean): void {
    call.upAt = this.now + this.#delay();
    this.at(call.upAt, () => {
      const server = this.#accept(call.header, call.kind);
      if (typeof server === 'number') {
        if (answers) this.#downstream(call, closingBody(call.header, server), true);
        return;
      }
      const arrival: Arrival = { call, answers, server, upload: null };
      call.upAt = Math.max(call.upAt, this.now);
      if (call.kind === 'download') server.download(call.header, arrival, this.now);
      else if (call.kind === 'upload') {
        arrival.upload = server.upload(call.header, arrival, this.now);
        this.#uploads.set(call, arrival);
      } else server.request(call.header, body, arrival, this.now);
      this.#arrivals.push(arrival);
    });
  }

  readonly #uploads = new Map<Call, Arrival>();
  readonly #arrivals: Arrival[] = [];

  #upstream(call: Call, bytes: Uint8Array | null): void {
    if (this.#chance(this.weather.full) && bytes !== null) {
      call.client.blocked(call.header.exchange);
      this.at(this.now + this.#delay(), () => {
        call.client.drained(call.header.exchange);
      });
    }
    if (this.#chance(this.weather.cut)) {
      this.#cut(call);
      return;
    }
    call.upAt = Math.max(call.upAt, this.now + this.#delay());
    this.at(call.upAt, () => {
      const upload = this.#uploads.get(call)?.upload;
      if (upload === undefined || upload === null || call.broken) return;
      if (bytes === null) upload.finish(this.now);
      else
        this.#pieces(bytes, (piece) => {
          upload.push(piece, this.now);
        });
    });
  }

  #downstream(call: Call, bytes: Uint8Array | null, last: boolean): void {
    call.downAt = Math.max(call.downAt, this.now + this.#delay());
    const { exchange } = call.header;
    this.at(call.downAt, () => {
      if (call.over || call.broken) return;
      if (bytes !== null) {
        this.#pieces(bytes, (piece) => {
          call.client.received(exchange, piece, this.now);
        });
      }
      if (!last) return;
      call.over = true;
      call.client.ended(exchange, this.now);
    });
  }

  /** In pieces that turn to junk once they are handled: who kept one would see it. */
  #pieces(bytes: Uint8Array, take: (piece: Uint8Array) => void): void {
    // Where a small chunk cuts matters, not how often it does so in one long body.
    const most = Math.max(this.weather.chunkBytes, bytes.length / 50);
    for (let at = 0; at < bytes.length;) {
      const size = 1 + Math.floor(this.#random() * most);
      const piece = bytes.slice(at, at + size);
      take(piece);
      piece.fill(0xff);
      at += size;
    }
  }

  /** The stream breaks: what is still on its way arrives in part, and each end learns of it at its own time. */
  #cut(call: Call): void {
    call.cut = true;
    this.at(this.now + this.#random() * this.#delay(), () => {
      this.#break(call, 'both');
    });
  }

  #break(call: Call, who: 'server' | 'both'): void {
    call.broken = true;
    for (let i = this.#arrivals.length - 1; i >= 0; i--) {
      const arrival = this.#arrivals[i] as Arrival;
      if (arrival.call !== call) continue;
      this.#arrivals.splice(i, 1);
      this.at(this.now + this.#delay(), () => {
        arrival.server?.aborted(arrival);
      });
    }
    if (who === 'both') this.#loseFor(call);
  }

  /** The client gets no answer, and hears of that or not. */
  #loseFor(call: Call): void {
    if (this.#chance(this.weather.silent)) return;
    this.at(this.now + this.#delay(), () => {
      if (call.over) return;
      call.over = true;
      call.client.failed(call.header.exchange, this.now);
    });
  }

  #delay(): number {
    const { leastDelayMs, mostDelayMs } = this.weather;
    return leastDelayMs + this.#random() * (mostDelayMs - leastDelayMs);
  }

  #chance(probability: number): boolean {
    return probability > 0 && this.#random() < probability;
  }
}

/** A small deterministic generator (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
