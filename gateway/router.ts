/** Finds the route for a method and a path. Patterns are paths whose segments may be `:names`. */
import type { RequestHead } from './engine/index.ts';
import type { HttpReply } from './problem.ts';

export interface RoutedRequest {
  readonly head: RequestHead;
  /** Decoded segments by name. */
  readonly params: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly pattern: string;
  readonly maxBodyBytes: number;
  readonly handle: (request: RoutedRequest) => HttpReply | Promise<HttpReply>;
  /** For the answer to OPTIONS: what the method takes. */
  readonly describes?: Readonly<Record<string, string>>;
}

export interface RouteMatch {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

export class Router {
  readonly #routes: readonly (Route & { readonly segments: readonly string[] })[];

  constructor(routes: readonly Route[]) {
    this.#routes = routes.map((route) => ({ ...route, segments: route.pattern.split('/') }));
  }

  /** GET routes serve HEAD as well. */
  find(method: string, path: string): RouteMatch | null {
    for (const route of this.#routes) {
      if (route.method !== (method === 'HEAD' ? 'GET' : method)) continue;
      const params = matchSegments(route.segments, path);
      if (params !== null) return { route, params };
    }
    return null;
  }

  /** Methods of the routes with this path; empty if there is none. */
  methods(path: string): readonly string[] {
    const methods = this.#at(path).flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
    return methods.length === 0 ? [] : [...methods, 'OPTIONS'];
  }

  /** What they take, beside; null where none of them says. */
  description(path: string): Readonly<Record<string, string>> | null {
    const described = this.#at(path).filter(({ describes }) => describes !== undefined);
    if (described.length === 0) return null;
    const said: Record<string, string> = {};
    for (const { describes } of described) Object.assign(said, describes);
    return said;
  }

  #at(path: string): readonly Route[] {
    return this.#routes.filter(({ segments }) => matchSegments(segments, path) !== null);
  }
}

function matchSegments(pattern: readonly string[], path: string): Record<string, string> | null {
  const segments = path.split('/');
  if (segments.length !== pattern.length) return null;
  const params: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (!expected.startsWith(':')) {
      if (segment !== expected) return null;
      continue;
    }
    const decoded = decode(segment);
    if (decoded === null || decoded === '') return null;
    params[expected.slice(1)] = decoded;
  }
  return params;
}

function decode(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}
