/** Everything on the public port: the page, the API, the tunnels, and the problem documents for the rest. */
import type { HttpApplication, Reaction, RequestHead, StreamReaction, WebSocketRoute } from './engine/index.ts';
import type { Origins } from './origins.ts';
import type { Page } from './page.ts';
import { problem, problemReply, type HttpReply, type ProblemCode } from './problem.ts';
import { Router, type Route } from './router.ts';

export interface PublicApplicationDeps {
  readonly routes: readonly Route[];
  readonly webSockets: readonly WebSocketRoute[];
  readonly tunnelHttp: { route(head: RequestHead): Reaction | StreamReaction | null };
  readonly page: Page;
  readonly origins: Origins;
  readonly refused: (reason: string) => void;
  readonly log: { error(fields: object, message: string): void };
}

const apiPrefixes = ['/v1/', '/whip/', '/whep/'];

export function createPublicApplication(deps: PublicApplicationDeps): HttpApplication {
  const { webSockets, page, origins, log } = deps;
  const router = new Router(deps.routes);
  const tunnelPaths = new Set(webSockets.map(({ path }) => path));

  const refuse = (code: ProblemCode, detail: string, headers: Readonly<Record<string, string>> = {}): HttpReply => {
    deps.refused(code);
    return problemReply(problem(code, detail), headers);
  };
  const always = (reply: () => HttpReply): Reaction => ({ maxBodyBytes: ignoredBodyBytes, handle: reply });

  const routeApi = (head: RequestHead): Reaction => {
    const cors = origins.corsHeaders(head);
    if (!origins.allows(head)) {
      return always(() => refuse('origin-not-allowed', "Name the page's origin in SALLYPORT_ORIGINS.", cors));
    }
    const methods = router.methods(head.path);
    if (head.method === 'OPTIONS' && methods.length > 0) {
      const description = router.description(head.path);
      const headers = { ...origins.preflightHeaders(head, methods), allow: methods.join(', '), ...description };
      // RFC 9725 section 4.2 wants 200 where something is said.
      return always(() => ({ status: description === null ? 204 : 200, headers, body: '' }));
    }
    const match = router.find(head.method, head.path);
    if (match === null) {
      return always(() => {
        if (methods.length === 0) return refuse('not-found', 'There is no such resource.', cors);
        const allow = methods.join(', ');
        return refuse('method-not-allowed', `Use one of ${allow}.`, { ...cors, allow });
      });
    }
    const { route, params } = match;
    return {
      maxBodyBytes: route.maxBodyBytes,
      handle: async (body) => {
        const reply = await route.handle({ head, params, body });
        return { ...reply, headers: { ...reply.headers, ...cors } };
      },
    };
  };

  const route = (head: RequestHead): Reaction | StreamReaction => {
    if (apiPrefixes.some((prefix) => head.path.startsWith(prefix))) return routeApi(head);
    const tunnel = deps.tunnelHttp.route(head);
    if (tunnel !== null) return tunnel;
    if (tunnelPaths.has(head.path)) {
      return always(() => refuse('upgrade-required', 'Open a WebSocket here.', { upgrade: 'websocket' }));
    }
    const file = page.find(head);
    if (file === null) {
      const missing = head.path === '/' ? 'The page is not built; run: npm run build' : 'There is no such page.';
      return always(() => refuse('not-found', missing));
    }
    if (head.method === 'GET' || head.method === 'HEAD') return file;
    return always(() => refuse('method-not-allowed', 'Use one of GET, HEAD.', { allow: 'GET, HEAD' }));
  };

  return {
    route,
    webSockets,
    refuse: (code) => refuse(code, engineRefusals[code]),
    failed: (error) => {
      log.error({ err: error }, 'a request failed');
      return refuse('internal', 'The failure is in the log.');
    },
  };
}

/** A body that nobody wants is read and forgotten up to here, so that the connection stays usable. */
const ignoredBodyBytes = 65_536;

const engineRefusals = {
  'bad-request': 'This is not an HTTP request that is understood here.',
  'payload-too-large': 'Send a smaller body.',
  'headers-too-large': 'Send smaller headers.',
} as const;
