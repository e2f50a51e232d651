/** `POST /v1/sessions` and `DELETE /v1/sessions/:id`: who may come in, and what they are given. */
import { randomBytes } from 'node:crypto';
import { SfuError } from '../sfu/index.ts';
import { parseAuthority } from './addresses.ts';
import type { JoinGrant, ResumeClaims, TokenAuthority } from './auth.ts';
import { bearerToken } from './bearer.ts';
import type { AuthMode, Config } from './config.ts';
import { probeParticipants, probeSeconds } from './doctor-api.ts';
import type { RequestHead } from './engine/index.ts';
import { maxJsonBytes, readJsonObject } from './json-body.ts';
import { isName, isRoomName } from './names.ts';
import { emptyReply, jsonReply, Problem, problem, problemReply, type HttpReply } from './problem.ts';
import type { RateLimiter } from './rate-limit.ts';
import type { Route, RoutedRequest } from './router.ts';
import { audioQuery } from './tunnel-websocket.ts';
import { turnWebSocketPath } from './turn-websocket.ts';
import { UpstreamNotAllowed, UpstreamUnavailable, type OpenedSession, type Upstream } from './upstream/index.ts';

const maxClientTextLength = 64;

export interface SessionsDeps {
  readonly upstream: Upstream;
  readonly tokens: TokenAuthority;
  /** Where other edges are, `https://host:port`, for when this one goes away. */
  readonly otherEdges: () => readonly string[];
  readonly auth: AuthMode;
  readonly sessionGraceMs: number;
  readonly publicHost: Config['publicHost'];
  /** The TCP port that is listened on. */
  readonly port: () => number;
  /** 0: no TURN over UDP. */
  readonly turnUdpPort: () => number;
  readonly turnCredentials: (sessionId: string) => { readonly username: string; readonly credential: string };
  readonly limiter: RateLimiter;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly draining: () => boolean;
  readonly refused: (reason: string) => void;
}

/** Where clients find this edge; the host as URLs have it. */
interface Place {
  readonly host: string;
  readonly port: number;
}

interface SessionBody {
  readonly room: string;
  readonly token: string | null;
  readonly name: string | null;
  /** The resume token of a session that was lost. */
  readonly rejoin: string | null;
}

const openGrant = { identity: null, name: null, can: ['publish', 'subscribe', 'data'], hidden: false } as const;

export function sessionRoutes(deps: SessionsDeps): readonly Route[] {
  const sessions = new Sessions(deps);
  return [
    {
      method: 'POST',
      pattern: '/v1/sessions',
      maxBodyBytes: maxJsonBytes,
      handle: (request) => sessions.open(request),
    },
    {
      method: 'DELETE',
      pattern: '/v1/sessions/:id',
      maxBodyBytes: 0,
      handle: (request) => sessions.end(request),
    },
  ];
}

class Sessions {
  readonly #deps: SessionsDeps;

  constructor(deps: SessionsDeps) {
    this.#deps = deps;
  }

  async open({ head, body }: RoutedRequest): Promise<HttpReply> {
    const { limiter, now, draining } = this.#deps;
    if (!limiter.take(head.remoteAddress, now())) {
      const refusal = problem(
        'too-many-requests',
        'Too many sessions were asked for from this address; wait a moment.',
      );
      return this.#refuse(refusal, { 'retry-after': '2' });
    }
    if (draining()) {
      return this.#refuse(problem('draining', 'This edge is being taken out of service; connect to another one.'));
    }
    const wanted = readBody(body);
    if (wanted instanceof Problem) return this.#refuse(wanted);
    const place = this.#place(head);
    if (place === null) return this.#refuse(problem('bad-request', 'The Host header is not a host and port.'));
    const grant = await this.#grant(wanted);
    if (grant instanceof Problem) return this.#refuse(grant);
    return this.#admit(wanted, grant, place);
  }

  async end({ head, params }: RoutedRequest): Promise<HttpReply> {
    const token = bearerToken(head);
    if (token === null) {
      return this.#refuse(problem('token-missing', 'Send the resume token as Authorization: Bearer.'));
    }
    const claims = this.#deps.tokens.verifyResumeToken(token);
    if (claims === null) return this.#refuse(problem('token-invalid', 'This is not a resume token of this server.'));
    if (claims.session !== params['id']) {
      return this.#refuse(problem('not-permitted', 'The resume token is that of another session.'));
    }
    try {
      if (await this.#deps.upstream.endSession(claims)) return emptyReply;
    } catch (error) {
      return this.#unavailable(error);
    }
    return this.#refuse(problem('session-unknown', 'The session has ended already, or was never here.'));
  }

  async #admit(wanted: SessionBody, grant: JoinGrant, place: Place): Promise<HttpReply> {
    const { upstream, otherEdges, tokens, sessionGraceMs, turnUdpPort, turnCredentials } = this.#deps;
    const sessionId = randomBytes(16).toString('base64url');
    const identity = grant.identity ?? this.#identityBefore(wanted) ?? `guest-${randomBytes(4).toString('hex')}`;
    if (grant.upstream !== undefined && upstream.peersOf === undefined) {
      const sentence =
        'The token names an SFU elsewhere, and this edge has its own; it would need SALLYPORT_UPSTREAM=udp.';
      return this.#refuse(problem('upstream-not-allowed', sentence));
    }
    let opened: OpenedSession;
    try {
      if (grant.probe === true && (await this.#isFullOfProbes(wanted.room))) {
        return this.#refuse(problem('room-full', 'A room for tests has two participants.'));
      }
      opened = await upstream.openSession({
        sessionId,
        room: wanted.room,
        identity,
        name: grant.name ?? wanted.name ?? identity,
        can: grant.can,
        hidden: grant.hidden,
        ...(grant.upstream === undefined ? {} : { upstream: grant.upstream }),
        ...(grant.record === true ? { record: true } : {}),
      });
    } catch (error) {
      if (error instanceof UpstreamNotAllowed) return this.#refuse(problem('upstream-not-allowed', error.message));
      if (!(error instanceof SfuError)) return this.#unavailable(error);
      if (error.code === 'room-full') {
        return this.#refuse(problem('room-full', 'The room has as many participants as it may have.'));
      }
      if (error.code === 'closed') return this.#refuse(problem('draining', 'This edge is shutting down.'));
      throw error;
    }
    const { node, epoch } = opened;
    const claims = { session: sessionId, room: wanted.room, node, epoch, identity };
    if (grant.probe === true) this.#endLater(claims);
    return jsonReply(201, {
      sessionId,
      resumeToken: tokens.issueResumeToken(claims),
      iceServers: [{ urls: turnUrls(place, turnUdpPort()), ...turnCredentials(sessionId) }],
      tunnel: {
        websocket: `wss://${authority(place)}/tunnel/v1/ws`,
        audio: `wss://${authority(place)}/tunnel/v1/ws?${audioQuery}`,
        httpStream: `https://${authority(place)}/tunnel/v1/stream`,
        longPoll: `https://${authority(place)}/tunnel/v1/poll`,
        turn: `wss://${authority(place)}${turnWebSocketPath}`,
      },
      edges: otherEdges(),
      policy: { sessionGraceMs },
    });
  }

  /** A guest whose SFU node was lost is the same guest in the next session. */
  #identityBefore({ room, rejoin }: SessionBody): string | null {
    const claims = rejoin === null ? null : this.#deps.tokens.verifyResumeToken(rejoin);
    return claims?.room === room ? (claims.identity ?? null) : null;
  }

  async #isFullOfProbes(room: string): Promise<boolean> {
    const summary = await this.#deps.upstream.room(room);
    return (summary?.participants.length ?? 0) >= probeParticipants;
  }

  /** Whatever it is used for meanwhile. */
  #endLater(claims: ResumeClaims): void {
    setTimeout(() => {
      // One that has ended, or whose node is gone, needs no end.
      this.#deps.upstream.endSession(claims).catch(() => undefined);
    }, probeSeconds * 1000).unref();
  }

  async #grant(wanted: SessionBody): Promise<JoinGrant | Problem> {
    if (wanted.token === null) {
      if (this.#deps.auth === 'open') return { ...openGrant, room: wanted.room };
      return problem('token-missing', 'Joining needs a token; ask whoever invited you for a link or a token.');
    }
    const grant = await this.#deps.tokens.verifyJoinToken(wanted.token);
    if (grant instanceof Problem) return grant;
    if (grant.room !== wanted.room && grant.room !== '*') {
      return problem('room-mismatch', 'The token is for another room; join the room that it names.');
    }
    if (!grant.can.some((permission) => permission !== 'admin')) {
      return problem(
        'not-permitted',
        'The token permits neither publish, subscribe nor data, so there is nothing to join for.',
      );
    }
    return grant;
  }

  /** Null: the client does not say where it is, or not in a way that may stand in URLs. */
  #place(head: RequestHead): Place | null {
    const { publicHost, port } = this.#deps;
    if (publicHost !== null) return { host: publicHost.host, port: publicHost.port ?? port() };
    const requested = parseAuthority(head.header('host'));
    return requested === null ? null : { host: requested.host, port: requested.port ?? 443 };
  }

  /** Throws what is no lack of an SFU. */
  #unavailable(error: unknown): HttpReply {
    if (!(error instanceof UpstreamUnavailable)) throw error;
    const refusal = problem('upstream-unavailable', `Try again in a moment: ${error.message}.`);
    return this.#refuse(refusal, { 'retry-after': String(error.retryAfterSeconds) });
  }

  #refuse(refusal: Problem, headers: Readonly<Record<string, string>> = {}): HttpReply {
    this.#deps.refused(refusal.code);
    return problemReply(refusal, headers);
  }
}

function authority({ host, port }: Place): string {
  return port === 443 ? host : `${host}:${String(port)}`;
}

/** RFC 7065. Ports are always named, because the schemes' own are 3478 and 5349. */
function turnUrls({ host, port }: Place, udpPort: number): readonly string[] {
  const streams = [`turn:${host}:${String(port)}?transport=tcp`, `turns:${host}:${String(port)}?transport=tcp`];
  return udpPort === 0 ? streams : [`turn:${host}:${String(udpPort)}?transport=udp`, ...streams];
}

function readBody(bytes: Uint8Array): SessionBody | Problem {
  const body = readJsonObject(bytes);
  if (body instanceof Problem) return body;
  const { room, token, name, rejoin, client } = body;
  if (typeof room !== 'string' || !isRoomName(room)) {
    return problem('bad-request', '"room" must be a text of 1 to 64 printable characters.');
  }
  if (token !== undefined && typeof token !== 'string') return problem('bad-request', '"token" must be a text.');
  if (name !== undefined && (typeof name !== 'string' || !isName(name))) {
    return problem('bad-request', '"name" must be a text of 1 to 64 printable characters.');
  }
  if (rejoin !== undefined && typeof rejoin !== 'string') return problem('bad-request', '"rejoin" must be a text.');
  if (!isClient(client)) {
    return problem('bad-request', '"client" must be an object with the texts "kind" and "version".');
  }
  return {
    room,
    token: token === undefined || token === '' ? null : token,
    name: name ?? null,
    rejoin: rejoin ?? null,
  };
}

function isClient(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, version } = value as Record<string, unknown>;
  return [kind, version].every((text) => typeof text === 'string' && text.length <= maxClientTextLength);
}
