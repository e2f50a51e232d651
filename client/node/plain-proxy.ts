/**
 * Requests to `http://` edges through a proxy, in absolute form (RFC 9112 section 3.2.2): proxies that know nothing but HTTP,
 * and those that allow CONNECT to port 443 alone, let them through. Not by `fetch`, which keeps every 407 to itself.
 */
import { Readable } from 'node:stream';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { Agent } from 'undici';
import { ClientError } from '../errors.ts';
import { openEdgeSocket } from './edge-socket.ts';
import type { Proxy } from './proxy-route.ts';
import { authRefusal, explainProxyError, maxProxyTries, placeOf } from './proxy-tunnel.ts';
import type { TlsTrust } from './tls-trust.ts';

export interface PlainRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | ReadableStream<Uint8Array> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PlainAnswer {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: ReadableStream<Uint8Array>;
  json(): Promise<unknown>;
}

export class PlainProxy {
  readonly #proxy: Proxy;
  readonly #agent: Agent;
  readonly #origin: string;

  /** `options` are of the agent that keeps the connections to the proxy. */
  constructor(proxy: Proxy, trust: TlsTrust, options: Agent.Options) {
    this.#proxy = proxy;
    this.#origin = `${proxy.secure ? 'https' : 'http'}://${placeOf(proxy)}`;
    this.#agent = new Agent({
      ...options,
      connect: (_, callback) => {
        const tls = proxy.secure ? { trust, alpn: ['http/1.1'] } : null;
        openEdgeSocket({ host: proxy.host, port: proxy.port, tls }, (result) => {
          if (result instanceof Error) callback(explainProxyError(result, proxy), null);
          else callback(null, result);
        });
      },
    });
  }

  /** Rejects with ClientError `proxy-auth-required`, `proxy-refused` or what undici says. A streamed body is sent but once. */
  async request(url: URL, { method, headers, body, signal }: PlainRequest): Promise<PlainAnswer> {
    const { auth } = this.#proxy;
    const sent = body instanceof ReadableStream ? Readable.fromWeb(body as NodeReadableStream) : body;
    for (let tries = 1; ; tries++) {
      const authorization = auth.authorization(method, url.href);
      const answer = await this.#agent.request({
        origin: this.#origin,
        path: url.href,
        method,
        headers: {
          ...headers,
          host: url.host,
          ...(authorization === null ? {} : { 'proxy-authorization': authorization }),
        },
        ...(sent === undefined ? {} : { body: sent }),
        ...(signal === undefined ? {} : { signal }),
      });
      const header = (name: string): string | null => answer.headers[name.toLowerCase()]?.toString() ?? null;
      if (answer.statusCode === 407) {
        await answer.body.dump();
        const challenge = header('proxy-authenticate') ?? '';
        const mayPass = auth.challenged(challenge, authorization);
        if (mayPass && tries < maxProxyTries && !(sent instanceof Readable)) continue;
        throw authRefusal(this.#proxy, challenge);
      }
      // An edge explains its errors as JSON.
      if (answer.statusCode >= 400 && /^text\/html\b/i.test(header('content-type') ?? '')) {
        await answer.body.dump();
        throw new ClientError('proxy-refused', {
          detail: `${method} ${url.origin} at ${placeOf(this.#proxy)}: HTTP ${String(answer.statusCode)} with a page`,
        });
      }
      let stream: ReadableStream<Uint8Array> | undefined;
      return {
        status: answer.statusCode,
        headers: { get: header },
        // Made when it is asked for: what is read as a stream cannot be read as JSON.
        get body() {
          return (stream ??= Readable.toWeb(answer.body) as ReadableStream<Uint8Array>);
        },
        json: () => answer.body.json(),
      };
    }
  }

  close(): Promise<void> {
    return this.#agent.close();
  }
}
