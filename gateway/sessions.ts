/** `POST /v1/sessions` and `DELETE /v1/sessions/:id`: who may come in, and what they are given. */
import { randomBytes } from 'node:crypto';
import type { Admission, Place } from './admission.ts';
import type { JoinGrant, ResumeClaims, TokenAuthority } from './auth.ts';
import { bearerToken } from './bearer.ts';
import { probeParticipants, probeSeconds } from './doctor-api.ts';
import { maxJsonBytes, readJsonObject } from './json-body.ts';
import { isName, isRoomName } from './names.ts';
import { emptyReply, jsonReply, Problem, problem, type HttpReply } from './problem.ts';
import type { Route, RoutedRequest } from './router.ts';
import { audioQuery } from './tunnel-websocket.ts';
import { turnWebSocketPath } from './turn-websocket.ts';
import type { OpenedSession, Upstream } from './upstream/index.ts';

const maxClientTextLength = 64;

export interface SessionsDeps {
  readonly admission: Admission;
  readonly upstream: Upstream;
  readonly tokens: TokenAuthority;
  /** Where other edges are, `https://host:port`, for when this one goes away. */
  readonly otherEdges: () => readonly string[];
  readonly sessionGraceMs: number;
}

interface SessionBody {
  readonly room: string;
  readonly token: string | null;
  readonly name: string | null;
  /** The resume token of a session that was lost. */
  readonly rejoin: string | null;
}

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
    const { admission } = this.#deps;
    const refusal = admission.refusal(head);
    if (refusal !== null) return refusal;
    const wanted = readBody(body);
    if (wanted instanceof Problem) return admission.refuse(wanted);
    const place = admission.place(head);
    if (place instanceof Problem) return admission.refuse(place);
    const grant = await this.#grant(wanted);
    if (grant instanceof Problem) return admission.refuse(grant);
    return this.#admit(wanted, grant, place);
  }

  async end({ head, params }: RoutedRequest): Promise<HttpReply> {
    const { admission } = this.#deps;
    const token = bearerToken(head);
    if (token === null) {
      return admission.refuse(problem('token-missing', 'Send the resume token as Authorization: Bearer.'));
    }
    const claims = this.#deps.tokens.verifyResumeToken(token);
    if (claims === null)
      return admission.refuse(problem('token-invalid', 'This is not a resume token of this server.'));
    if (claims.session !== params['id']) {
      return admission.refuse(problem('not-permitted', 'The resume token is that of another session.'));
    }
    try {
      if (await this.#deps.upstream.endSession(claims)) return emptyReply;
    } catch (error) {
      return admission.unavailable(error);
    }
    return admission.refuse(problem('session-unknown', 'The session has ended already, or was never here.'));
  }

  async #admit(wanted: SessionBody, grant: JoinGrant, place: Place): Promise<HttpReply> {
    const { admission, upstream, otherEdges, tokens, sessionGraceMs } = this.#deps;
    const sessionId = randomBytes(16).toString('base64url');
    const identity = grant.identity ?? this.#identityBefore(wanted) ?? `guest-${randomBytes(4).toString('hex')}`;
    if (grant.upstream !== undefined && upstream.peersOf === undefined) {
      const sentence =
        'The token names an SFU elsewhere, and this edge has its own; it would need SALLYPORT_UPSTREAM=udp.';
      return admission.refuse(problem('upstream-not-allowed', sentence));
    }
    let opened: OpenedSession;
    try {
      if (grant.probe === true && (await this.#isFullOfProbes(wanted.room))) {
        return admission.refuse(problem('room-full', 'A room for tests has two participants.'));
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
      return admission.unopened(error);
    }
    const { node, epoch } = opened;
    const claims = { session: sessionId, room: wanted.room, node, epoch, identity };
    if (grant.probe === true) this.#endLater(claims);
    return jsonReply(201, {
      sessionId,
      resumeToken: tokens.issueResumeToken(claims),
      iceServers: admission.iceServers(place, sessionId),
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

  async #grant({ token, room }: SessionBody): Promise<JoinGrant | Problem> {
    const grant = await this.#deps.admission.grant(token, room);
    if (grant instanceof Problem || grant.can.some((permission) => permission !== 'admin')) return grant;
    return problem(
      'not-permitted',
      'The token permits neither publish, subscribe nor data, so there is nothing to join for.',
    );
  }
}

function authority({ host, port }: Place): string {
  return port === 443 ? host : `${host}:${String(port)}`;
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
