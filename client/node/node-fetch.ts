/** `fetch` for requests to one edge, with this call's trust in certificates. */
import { Agent, fetch } from 'undici';
import type { FetchLike } from '../control/index.ts';
import type { TlsTrust } from './tls-trust.ts';

export interface EdgeHttp {
  readonly fetch: FetchLike;
  /** Closes idle connections; answers under way are waited for. */
  close(): Promise<void>;
}

/** Connections are made anew: a call sends two or three requests in all. */
export function createEdgeHttp(trust: TlsTrust): EdgeHttp {
  const agent = new Agent({ connect: { ...trust, timeout: 10_000 }, keepAliveTimeout: 1000 });
  return {
    fetch: (url, { method, headers, body, signal, cache }) =>
      fetch(url, {
        dispatcher: agent,
        redirect: 'error',
        method,
        headers,
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
        ...(cache === undefined ? {} : { cache }),
      }),
    close: () => agent.close(),
  };
}
