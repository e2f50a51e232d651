/** Which web origins may use the server: CORS for requests, and the Origin header of WebSockets (RFC 6455 section 10.2). */
import { parseAuthority } from './addresses.ts';
import type { RequestHead } from './engine/index.ts';

export interface PublicHost {
  readonly host: string;
  readonly port: number | null;
}

export class Origins {
  readonly #allowed: ReadonlySet<string>;
  readonly #edges: () => Iterable<string>;

  /** Origins besides the server's own; `*` allows all. `edges`: URLs of those of the same system. */
  constructor(allowed: readonly string[], edges: () => Iterable<string> = () => []) {
    this.#allowed = new Set(allowed);
    this.#edges = edges;
  }

  /** What is no browser sends no origin, and is allowed: the check protects a user's browser, not the server. */
  allows(head: RequestHead): boolean {
    const origin = head.header('origin');
    return origin === '' || isSameOrigin(origin, head) || this.#isListed(origin);
  }

  /** For replies: lets the page of a listed origin read them. */
  corsHeaders(head: RequestHead): Readonly<Record<string, string>> {
    const origin = head.header('origin');
    if (origin === '' || isSameOrigin(origin, head) || !this.#isListed(origin)) return { vary: 'origin' };
    return {
      vary: 'origin',
      'access-control-allow-origin': origin,
      // A client sees then whether its requests share a connection.
      'timing-allow-origin': origin,
      'access-control-expose-headers': 'etag, link, location, retry-after',
    };
  }

  /** For the reply to a preflight request (Fetch standard, section 3.2). */
  preflightHeaders(head: RequestHead, methods: readonly string[]): Readonly<Record<string, string>> {
    const cors = this.corsHeaders(head);
    if (cors['access-control-allow-origin'] === undefined) return cors;
    return {
      ...cors,
      'access-control-allow-methods': methods.join(', '),
      'access-control-allow-headers': 'authorization, content-type, if-match',
      'access-control-max-age': '7200',
    };
  }

  #isListed(origin: string): boolean {
    if (this.#allowed.has('*') || this.#allowed.has(origin)) return true;
    for (const edge of this.#edges()) if (new URL(edge).origin === origin) return true;
    return false;
  }
}

/** Plain HTTP is for balancers that end TLS, and for clients that are no pages: the server's own origin is always https. */
function isSameOrigin(origin: string, head: RequestHead): boolean {
  if (!origin.startsWith('https://')) return false;
  const own = parseAuthority(head.header('host'));
  const theirs = parseAuthority(origin.slice('https://'.length));
  if (own === null || theirs === null) return false;
  return own.host === theirs.host && (own.port ?? 443) === (theirs.port ?? 443);
}
