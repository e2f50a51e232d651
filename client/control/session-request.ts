/** `POST /v1/sessions`: asks an edge for a session. Everything else needs the resume token it answers with. */
import { ClientError, asClientError } from '../errors.ts';
import { errorOfResponse, isRecord } from './problem.ts';

/** As much of `fetch` as is used here, so that Node (with its own certificates) and browsers can both bring theirs. */
export type FetchLike = (url: string, init: FetchInit) => Promise<FetchResponse>;

export interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  readonly cache?: 'no-store';
}

export interface FetchResponse {
  readonly status: number;
  json(): Promise<unknown>;
}

export interface SessionRequestOptions {
  readonly room: string;
  readonly token?: string | undefined;
  readonly name?: string | undefined;
  /** The resume token of a session that was lost: its identity goes on. */
  readonly rejoin?: string | undefined;
  readonly client: { readonly kind: 'node' | 'browser'; readonly version: string };
  readonly signal?: AbortSignal | undefined;
}

export interface SessionPolicy {
  /** How long the server keeps the session without a connection, in ms. */
  readonly sessionGraceMs: number;
}

export interface IceServer {
  readonly urls: string | readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

export interface Session {
  readonly sessionId: string;
  readonly resumeToken: string;
  /** As the server wrote it, for an RTCPeerConnection. */
  readonly iceServers: readonly IceServer[];
  /** Absolute `wss:` or `ws:` URL of the WebSocket tunnel. */
  readonly websocketUrl: string;
  /** Absolute URLs of the HTTP tunnels; null where the edge has none. */
  readonly httpStreamUrl: string | null;
  readonly longPollUrl: string | null;
  /** Of a connection for audio beside the WebSocket; null where the edge has none. */
  readonly audioUrl: string | null;
  /** Other edges that can serve the session, `https://host:port`. */
  readonly edges: readonly string[];
  readonly policy: SessionPolicy;
}

const defaultSessionGraceMs = 30_000;

/**
 * `edge` is the edge's address, such as `https://edge.example`; a path in it is kept, for edges behind a prefix.
 * `explain` names the cause of a failed connection where the environment tells it (certificates, in Node).
 * Rejects with a ClientError.
 */
export async function createSession(
  edge: string,
  options: SessionRequestOptions,
  fetchLike: FetchLike,
  explain: (error: unknown) => ClientError = (error) => asClientError(error, 'edge-unreachable'),
): Promise<Session> {
  const { room, token, name, rejoin, client, signal } = options;
  const url = edgeUrl(edge, 'v1/sessions');
  let response: FetchResponse;
  try {
    response = await fetchLike(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, application/problem+json' },
      body: JSON.stringify({ room, token, name, rejoin, client }),
      cache: 'no-store',
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    throw failure(error, signal, explain);
  }
  let body: unknown;
  try {
    body = await response.json();
  } catch (error) {
    if (signal?.aborted === true) throw failure(error, signal, explain);
    // Not JSON: told by the status below, or by the check of the body's shape.
    body = undefined;
  }
  if (response.status !== 201) throw errorOfResponse(response.status, body);
  return readSession(body, url);
}

/** Ends a session that never got a control channel. Best effort: the server's grace period ends it otherwise. */
export async function deleteSession(edge: string, session: Session, fetchLike: FetchLike): Promise<void> {
  try {
    await fetchLike(edgeUrl(edge, `v1/sessions/${encodeURIComponent(session.sessionId)}`), {
      method: 'DELETE',
      headers: { authorization: `Bearer ${session.resumeToken}` },
    });
  } catch {
    // The edge cannot be reached: nothing is left to do, and the caller has the first error already.
  }
}

function failure(
  error: unknown,
  signal: AbortSignal | undefined,
  explain: (error: unknown) => ClientError,
): ClientError {
  return signal?.aborted === true ? new ClientError('aborted', { cause: signal.reason }) : explain(error);
}

/** Throws ClientError `bad-url`. */
export function edgeUrl(edge: string, path: string): string {
  let base: URL;
  try {
    base = new URL(edge);
  } catch (error) {
    throw new ClientError('bad-url', { detail: edge, cause: error });
  }
  if (base.protocol !== 'https:' && base.protocol !== 'http:') throw new ClientError('bad-url', { detail: edge });
  base.search = '';
  base.hash = '';
  if (!base.pathname.endsWith('/')) base.pathname += '/';
  return new URL(path, base).href;
}

function readSession(body: unknown, url: string): Session {
  if (!isRecord(body)) throw new ClientError('edge-not-sallyport', { detail: 'the answer is not JSON' });
  const { sessionId, resumeToken, iceServers, tunnel, policy, edges } = body;
  if (typeof sessionId !== 'string' || typeof resumeToken !== 'string' || !isRecord(tunnel)) {
    throw new ClientError('bad-answer', { detail: 'sessionId, resumeToken or tunnel is missing' });
  }
  return {
    sessionId,
    resumeToken,
    iceServers: Array.isArray(iceServers) ? iceServers.filter(isIceServer) : [],
    websocketUrl: websocketUrl(tunnel['websocket'], url),
    audioUrl: typeof tunnel['audio'] === 'string' ? websocketUrl(tunnel['audio'], url) : null,
    httpStreamUrl: httpUrl(tunnel['httpStream'], url),
    longPollUrl: httpUrl(tunnel['longPoll'], url),
    edges: Array.isArray(edges) ? edges.filter(isHttpsUrl).slice(0, maxEdges) : [],
    policy: { sessionGraceMs: readGrace(policy) },
  };
}

const maxEdges = 16;

function isHttpsUrl(value: unknown): value is string {
  return typeof value === 'string' && URL.canParse(value) && new URL(value).protocol === 'https:';
}

function isIceServer(value: unknown): value is IceServer {
  if (!isRecord(value)) return false;
  const { urls } = value;
  return typeof urls === 'string' || (Array.isArray(urls) && urls.every((item) => typeof item === 'string'));
}

function websocketUrl(value: unknown, base: string): string {
  if (typeof value !== 'string') throw new ClientError('bad-answer', { detail: 'tunnel.websocket is missing' });
  let url: URL;
  try {
    url = new URL(value, base);
  } catch (error) {
    throw new ClientError('bad-answer', { detail: 'tunnel.websocket is not a URL', cause: error });
  }
  url.protocol = url.protocol.replace(/^http/, 'ws');
  if (url.protocol !== 'wss:' && url.protocol !== 'ws:') {
    throw new ClientError('bad-answer', { detail: 'tunnel.websocket is not a WebSocket URL' });
  }
  return url.href;
}

/** Null for what is none: the other carriers do without. */
function httpUrl(value: unknown, base: string): string | null {
  if (typeof value !== 'string') return null;
  try {
    const url = new URL(value, base);
    return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null;
  } catch {
    return null;
  }
}

function readGrace(policy: unknown): number {
  const value = isRecord(policy) ? policy['sessionGraceMs'] : undefined;
  return typeof value === 'number' && value > 0 && value < 3_600_000 ? value : defaultSessionGraceMs;
}
