/**
 * Passes requests on to another HTTP server, such as the edge that holds their session, by way of http2-proxy. That is
 * given objects of our own on either side (proxy-sides.ts), because by itself it sends bodies whose end the upstream
 * cannot tell, gives up after five seconds, passes on what clients say of their address, replaces the Host, and ends the
 * process over a status that h2 does not know.
 *
 * Speaks in the engine's terms, so that it serves requests of any engine: an application whose session table names
 * another edge answers `{ stream: (exchange) => forwarder.forward(head, exchange, target) }`, and that edge reads who is
 * behind it by `withForwardedClient`.
 */
import type { ExchangeEvents, HttpExchange, RequestHead } from '../engine/index.ts';
import { Problem, problem, problemReply } from '../problem.ts';
import { ForwardedExchange, type Ending } from './forwarded-exchange.ts';
import { UpstreamAgents } from './upstream-agents.ts';
import { upstreamHead, type ForwardTarget } from './upstream-head.ts';

export interface ForwarderOptions {
  /** For a connection to the upstream. */
  readonly connectTimeoutMs: number;
  /** Of silence on both sides, once connected: longer than an upstream holds an answer back. */
  readonly timeoutMs: number;
  /** Of a request, if its target does not say otherwise. */
  readonly maxBodyBytes: number;
  /** Of a request's body, that wait for the upstream; past it the request fails. */
  readonly maxWaitingBytes: number;
  /** Requests at a time; each has a connection of its own. */
  readonly maxOpen: number;
  /** Proves to an upstream that the client's address is ours to say. Null: it is not told. */
  readonly secret: string | null;
  /** Called for each request that failed for want of an upstream: to be counted. */
  readonly onFailure: (code: 'upstream-failed' | 'upstream-timeout' | 'upstream-busy') => void;
}

const defaults: ForwarderOptions = {
  connectTimeoutMs: 5000,
  timeoutMs: 30_000,
  maxBodyBytes: 65_536,
  maxWaitingBytes: 1_048_576,
  maxOpen: 1024,
  secret: null,
  onFailure: () => undefined,
};

export interface ForwarderSockets {
  readonly busy: number;
  readonly free: number;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #agents = new UpstreamAgents();
  readonly #open = new Set<ForwardedExchange>();

  constructor(options: Partial<ForwarderOptions> = {}) {
    this.#options = { ...defaults, ...options };
  }

  /**
   * Begins to pass the request on. What may not be passed on is answered as a problem document; so is an upstream that
   * cannot be reached or fails (502, `upstream-failed`), is silent (504, `upstream-timeout`), or too many requests
   * (503, `upstream-busy`). An answer that has begun is broken off instead.
   */
  forward(head: RequestHead, exchange: HttpExchange, target: ForwardTarget): ExchangeEvents {
    const { maxOpen, maxBodyBytes, secret } = this.#options;
    if (this.#open.size >= maxOpen) {
      return this.#refuse(exchange, problem('upstream-busy', 'Try again in a second.'), { 'retry-after': '1' });
    }
    const limit = target.maxBodyBytes ?? maxBodyBytes;
    const made = upstreamHead(head, target, limit, secret);
    if (made instanceof Problem) return this.#refuse(exchange, made);
    const forwarded = new ForwardedExchange(made, exchange, target, this.#agents, {
      ...this.#options,
      maxBodyBytes: limit,
      ended: (ending) => {
        this.#open.delete(forwarded);
        this.#count(ending);
      },
    });
    this.#open.add(forwarded);
    forwarded.start();
    return {
      data: (bytes, isLast) => {
        forwarded.data(bytes, isLast);
      },
      drain: () => {
        forwarded.drain();
      },
      aborted: () => {
        forwarded.aborted();
      },
    };
  }

  /** Requests that are not through yet. */
  get open(): number {
    return this.#open.size;
  }

  get sockets(): ForwarderSockets {
    return { busy: this.#agents.busySockets, free: this.#agents.freeSockets };
  }

  /** What is under way fails. Idempotent. */
  close(): void {
    for (const forwarded of this.#open) forwarded.close();
    this.#agents.close();
  }

  #refuse(exchange: HttpExchange, refusal: Problem, headers: Readonly<Record<string, string>> = {}): ExchangeEvents {
    this.#count(refusal.code);
    exchange.reply(problemReply(refusal, headers));
    return nothingFollows;
  }

  #count(ending: Ending): void {
    if (ending === 'upstream-failed' || ending === 'upstream-timeout' || ending === 'upstream-busy') {
      this.#options.onFailure(ending);
    }
  }
}

const nothingFollows: ExchangeEvents = {
  data: () => undefined,
  drain: () => undefined,
  aborted: () => undefined,
};
