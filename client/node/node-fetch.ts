/** `fetch` for requests to one edge, with this call's trust in certificates and its way through proxies. */
import type { Socket } from 'node:net';
import { Agent, fetch } from 'undici';
import { checkAnswer } from '../control/problem.ts';
import { openEdgeSocket } from './edge-socket.ts';
import { ConnectionClosing, Http2Connection } from './http2-connection.ts';
import { PlainProxy } from './plain-proxy.ts';
import { directRoute } from './proxy-route.ts';
import type { Proxy, ProxyRoute, RouteTarget } from './proxy-route.ts';
import type { Cancel } from './proxy-tunnel.ts';
import type { TlsTrust } from './tls-trust.ts';

/** Satisfies both the session request's idea of `fetch` and the exchanges'. */
export type EdgeFetch = (url: string, init: EdgeFetchInit) => Promise<EdgeResponse>;

export interface EdgeFetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: Uint8Array | string | ReadableStream<Uint8Array>;
  readonly duplex?: 'half';
  readonly signal?: AbortSignal;
  readonly cache?: 'no-store';
}

export interface EdgeResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: ReadableStream<Uint8Array> | null;
  json(): Promise<unknown>;
}

export interface EdgeHttp {
  /**
   * Sets no time limits of its own once connected: answers may stream for as long as they like, and silence is for the
   * caller to judge. Rejects with what explainConnectionError understands.
   */
  readonly fetch: EdgeFetch;
  /** The latest TLS handshake with an edge chose HTTP/2, where any number of requests share a connection. */
  isHttp2(): boolean;
  /** Closes idle connections; answers under way are waited for. */
  close(): Promise<void>;
}

const agentOptions = {
  pipelining: 1,
  bodyTimeout: 0,
  headersTimeout: 0,
  // Below the 10 s that servers, ours among them, keep idle connections.
  keepAliveTimeout: 8000,
};

export function createEdgeHttp(trust: TlsTrust, route: ProxyRoute = directRoute): EdgeHttp {
  return new NodeEdgeHttp(trust, route);
}

/** What the first handshake with an origin showed: a connection that all share, or null where HTTP/1.1 is spoken. */
type Negotiated = Promise<Http2Connection | null>;

class NodeEdgeHttp implements EdgeHttp {
  readonly #trust: TlsTrust;
  readonly #route: ProxyRoute;
  readonly #agent: Agent;
  readonly #origins = new Map<string, Negotiated>();
  /** Connections that negotiated HTTP/1.1 and carried no request yet, by origin. */
  readonly #spares = new Map<string, Socket>();
  readonly #plain = new Map<Proxy, PlainProxy>();
  readonly #opening = new Set<Cancel>();
  #isHttp2 = false;

  constructor(trust: TlsTrust, route: ProxyRoute) {
    this.#trust = trust;
    this.#route = route;
    this.#agent = new Agent({
      ...agentOptions,
      connect: ({ protocol, hostname, port }, callback) => {
        const url = new URL(`${protocol}//${hostname}${port === '' ? '' : `:${port}`}`);
        const spare = this.#takeSpare(url.origin);
        if (spare !== null) {
          // Within the call, undici would not begin with the request that it connects for.
          queueMicrotask(() => {
            callback(null, spare);
          });
          return;
        }
        this.#open(url, ['http/1.1'], (result) => {
          if (result instanceof Error) callback(result, null);
          else callback(null, result);
        });
      },
    });
  }

  readonly fetch: EdgeFetch = async (url, init) => {
    const parsed = new URL(url);
    const response = await this.#request(parsed, init);
    const foreign = checkAnswer(parsed, response);
    if (foreign === null) return response;
    await response.body?.cancel();
    throw foreign;
  };

  isHttp2(): boolean {
    return this.#isHttp2;
  }

  async close(): Promise<void> {
    for (const cancel of this.#opening) cancel();
    for (const spare of this.#spares.values()) spare.destroy();
    for (const negotiated of this.#origins.values()) {
      negotiated.then(
        (connection) => connection?.close(),
        () => undefined,
      );
    }
    this.#origins.clear();
    await Promise.all([this.#agent, ...this.#plain.values()].map((pool) => pool.close()));
  }

  async #request(url: URL, init: EdgeFetchInit): Promise<EdgeResponse> {
    const { method, headers, body, duplex, signal, cache } = init;
    for (let tries = 0; url.protocol === 'https:'; tries++) {
      const connection = await unlessAborted(this.#negotiated(url), signal);
      if (connection === null) break;
      try {
        return await connection.request(url, { method, headers, body, signal });
      } catch (error) {
        if (!(error instanceof ConnectionClosing) || tries > 0) throw error;
      }
    }
    const request = {
      redirect: 'manual' as const,
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      ...(duplex === undefined ? {} : { duplex }),
      ...(signal === undefined ? {} : { signal }),
      ...(cache === undefined ? {} : { cache }),
    };
    const proxy = url.protocol === 'http:' ? this.#route(addressOf(url)) : null;
    if (proxy === null) return fetch(url, { ...request, dispatcher: this.#agent });
    const known = this.#plain.get(proxy) ?? new PlainProxy(proxy, this.#trust, agentOptions);
    this.#plain.set(proxy, known);
    return known.request(url, request);
  }

  async #negotiated(url: URL): Negotiated {
    const { origin } = url;
    const known = this.#origins.get(origin);
    if (known !== undefined) {
      const connection = await known;
      if (connection === null || connection.usable) return connection;
    }
    // Somebody else may have begun meanwhile.
    const current = this.#origins.get(origin);
    if (current !== undefined && current !== known) return current;
    const begun = this.#negotiate(url);
    this.#origins.set(origin, begun);
    begun.catch(() => {
      if (this.#origins.get(origin) === begun) this.#origins.delete(origin);
    });
    return begun;
  }

  #negotiate(url: URL): Negotiated {
    return new Promise((resolve, reject) => {
      this.#open(url, ['h2', 'http/1.1'], (result) => {
        if (result instanceof Error) {
          reject(result);
        } else if ('alpnProtocol' in result && result.alpnProtocol === 'h2') {
          this.#isHttp2 = true;
          resolve(new Http2Connection(url.origin, result));
        } else {
          this.#isHttp2 = false;
          this.#spares.set(url.origin, result);
          resolve(null);
        }
      });
    });
  }

  #open(url: URL, alpn: readonly string[], done: (result: Socket | Error) => void): void {
    const { host, port, secure } = addressOf(url);
    const cancel = openEdgeSocket(
      {
        host,
        port,
        tls: secure ? { trust: this.#trust, alpn } : null,
        proxy: { route: this.#route, trust: this.#trust, secure },
      },
      (result) => {
        this.#opening.delete(forget);
        done(result);
      },
    );
    const forget = (): void => {
      this.#opening.delete(forget);
      cancel();
      done(new Error('closed while connecting'));
    };
    this.#opening.add(forget);
  }

  #takeSpare(origin: string): Socket | null {
    const spare = this.#spares.get(origin);
    this.#spares.delete(origin);
    return spare === undefined || spare.destroyed || spare.readyState !== 'open' ? null : spare;
  }
}

function addressOf(url: URL): RouteTarget {
  const secure = url.protocol === 'https:';
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    secure,
  };
}

/** The connection goes on being made: others wait for it, or will use it. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', abort);
    });
  });
}
