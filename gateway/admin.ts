/** The operator's port: metrics, health, readiness, drain. Plain HTTP, and no tokens: keep it to yourself. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ListenError } from './engine/index.ts';

const requestTimeoutMs = 10_000;

export interface AdminDeps {
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** Whether new sessions are taken. */
  readonly ready: () => boolean;
  /** Begins to drain; a second call does no harm. */
  readonly drain: () => void;
  readonly log: { error(fields: object, message: string): void };
}

interface AdminReply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export class Admin {
  readonly #deps: AdminDeps;
  readonly #server: Server;

  constructor(deps: AdminDeps) {
    this.#deps = deps;
    this.#server = createServer(
      { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs },
      (request, response) => {
        this.#answer(request, response);
      },
    );
  }

  /** Returns the port. Rejects with {@link ListenError}. */
  async listen(address: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(new ListenError(error.code ?? 'EUNKNOWN', address, port));
      });
      this.#server.listen({ host: address, port, exclusive: true }, resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      this.#server.closeAllConnections();
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.#reply(request).then(
      (reply) => {
        give(response, reply);
      },
      (error: unknown) => {
        this.#deps.log.error({ err: error }, 'a request to the admin port failed');
        give(response, text(500, 'failed\n'));
      },
    );
  }

  async #reply(request: IncomingMessage): Promise<AdminReply> {
    const { metrics, ready, drain } = this.#deps;
    const path = (request.url ?? '').split('?')[0];
    const expected = path === '/drain' ? ['POST'] : ['GET', 'HEAD'];
    if (path === undefined || !['/metrics', '/healthz', '/readyz', '/drain'].includes(path)) {
      return text(404, 'try /metrics, /healthz, /readyz or POST /drain\n');
    }
    if (!expected.includes(request.method ?? '')) return text(405, `use ${expected.join(' or ')}\n`);
    switch (path) {
      case '/metrics':
        return { status: 200, type: metrics.contentType, body: await metrics.text() };
      case '/healthz':
        return text(200, 'ok\n');
      case '/readyz':
        return ready() ? text(200, 'ready\n') : text(503, 'not ready\n');
      default:
        // A web page in the operator's browser can send a POST here; it cannot help saying where it is from.
        if (request.headers.origin !== undefined || request.headers['sec-fetch-site'] !== undefined) {
          return text(403, 'not from a browser\n');
        }
        drain();
        return text(202, 'draining\n');
    }
  }
}

function text(status: number, body: string): AdminReply {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function give(response: ServerResponse, { status, type, body }: AdminReply): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
