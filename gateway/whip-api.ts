/**
 * WHIP (RFC 9725) at `/whip/:room` and WHEP at `/whep/:room`: a session by one POST with an offer, for clients that know no
 * control channel. The session's URL is for DELETE, and for ICE candidates and restarts by PATCH.
 */
import { randomBytes } from 'node:crypto';
import { SfuError, type WhipPatched, type WhipRole } from '../sfu/index.ts';
import type { Admission, IceServer } from './admission.ts';
import type { JoinGrant, ResumeClaims, TokenAuthority } from './auth.ts';
import { bearerToken } from './bearer.ts';
import type { RequestHead } from './engine/index.ts';
import { isName, isRoomName } from './names.ts';
import { emptyReply, Problem, problem, type HttpReply } from './problem.ts';
import type { Route, RoutedRequest } from './router.ts';
import type { OpenedWhip, Upstream } from './upstream/index.ts';

export interface WhipDeps {
  readonly admission: Admission;
  readonly upstream: Upstream;
  readonly tokens: TokenAuthority;
}

const maxSdpBytes = 65_536;
const sdpType = 'application/sdp';
const fragmentType = 'application/trickle-ice-sdpfrag';
const roles: readonly WhipRole[] = ['whip', 'whep'];
const noStore = { 'cache-control': 'no-store' } as const;

export function whipRoutes(deps: WhipDeps): readonly Route[] {
  return roles.flatMap((role) => {
    const api = new WhipApi(role, deps);
    const endpoint = `/${role}/:room`;
    const session = `/${role}/:room/:session`;
    const acceptPost = { 'accept-post': sdpType };
    // There is nothing to see, but a player may look whether this is the place (RFC 9725 section 4.1, WHEP section 4.2).
    const shown = { status: 200, headers: { ...noStore, ...acceptPost, 'content-type': sdpType }, body: '' };
    return [
      {
        method: 'POST' as const,
        pattern: endpoint,
        maxBodyBytes: maxSdpBytes,
        describes: acceptPost,
        handle: (request) => api.open(request),
      },
      { method: 'GET', pattern: endpoint, maxBodyBytes: 0, handle: () => shown },
      {
        method: 'PATCH',
        pattern: session,
        maxBodyBytes: maxSdpBytes,
        describes: { 'accept-patch': fragmentType },
        handle: (request) => api.patch(request),
      },
      { method: 'DELETE', pattern: session, maxBodyBytes: 0, handle: (request) => api.end(request) },
      { method: 'GET', pattern: session, maxBodyBytes: 0, handle: (request) => api.look(request) },
    ] satisfies Route[];
  });
}

class WhipApi {
  readonly #role: WhipRole;
  readonly #deps: WhipDeps;

  constructor(role: WhipRole, deps: WhipDeps) {
    this.#role = role;
    this.#deps = deps;
  }

  async open({ head, params, body }: RoutedRequest): Promise<HttpReply> {
    const { admission } = this.#deps;
    const refusal = admission.refusal(head);
    if (refusal !== null) return refusal;
    const { room = '' } = params;
    const wrong = checkHead(head, room);
    if (wrong !== null) return this.#refuse(wrong);
    const token = bearerToken(head);
    const grant = await this.#grant(token, room);
    if (grant instanceof Problem) return this.#refuse(grant);
    const { upstream } = this.#deps;
    if (upstream.openWhip === undefined || grant.upstream !== undefined) return this.#refuse(elsewhere);
    const name = nameOf(head);
    if (name instanceof Problem) return this.#refuse(name);
    const place = admission.place(head);
    if (place instanceof Problem) return this.#refuse(place);
    const offer = textOf(body);
    if (offer === null) return this.#refuse(problem('bad-offer', 'The offer must be text in UTF-8.'));
    const sessionId = randomBytes(16).toString('base64url');
    const identity = grant.identity ?? `guest-${randomBytes(4).toString('hex')}`;
    const { can, hidden, record = false } = grant;
    const request = { sessionId, room, identity, name: grant.name ?? name ?? identity, can, hidden, record };
    let opened: OpenedWhip;
    try {
      opened = await upstream.openWhip(request, this.#role, offer);
    } catch (error) {
      return admission.unopened(error);
    }
    if ('refused' in opened) {
      const malformed = opened.refused === 'malformed';
      return this.#refuse(problem(malformed ? 'bad-offer' : 'offer-unsupported', `In the offer, ${opened.detail}.`));
    }
    const { node, epoch, answer, iceTag } = opened;
    const session = this.#deps.tokens.issueWhipName({ session: sessionId, room, node, epoch }, token);
    return {
      status: 201,
      headers: {
        ...noStore,
        'content-type': sdpType,
        location: `/${this.#role}/${encodeURIComponent(room)}/${session}`,
        etag: `"${iceTag}"`,
        link: linksTo(admission.iceServers(place, sessionId)),
      },
      body: answer,
    };
  }

  /** RFC 9725 section 4.3: candidates, or an ICE restart. */
  async patch(request: RoutedRequest): Promise<HttpReply> {
    const { head, body } = request;
    const claims = this.#claims(request);
    if (claims instanceof Problem) return this.#refuse(claims);
    if (!isOfType(head.header('content-type'), fragmentType)) {
      const refusal = problem('unsupported-media-type', `Send what changes of ICE as ${fragmentType}.`);
      return this.#refuse(refusal, { 'accept-patch': fragmentType });
    }
    const iceTags = iceTagsOf(head.header('if-match'));
    if (iceTags instanceof Problem) return this.#refuse(iceTags);
    const fragment = textOf(body);
    if (fragment === null) return this.#refuse(problem('bad-fragment', 'The fragment must be text in UTF-8.'));
    try {
      const patched = await this.#deps.upstream.patchWhip?.(claims, fragment, iceTags);
      return patched === undefined ? this.#refuse(ended) : this.#patched(patched);
    } catch (error) {
      if (error instanceof SfuError) return this.#refuse(ended);
      return this.#deps.admission.unavailable(error);
    }
  }

  async end(request: RoutedRequest): Promise<HttpReply> {
    const claims = this.#claims(request);
    if (claims instanceof Problem) return this.#refuse(claims);
    try {
      if (await this.#deps.upstream.endSession(claims)) return { status: 200, headers: noStore, body: '' };
    } catch (error) {
      return this.#deps.admission.unavailable(error);
    }
    return this.#refuse(ended);
  }

  /** The session has no representation (RFC 9725 section 4.1). */
  look(request: RoutedRequest): HttpReply {
    const claims = this.#claims(request);
    return claims instanceof Problem ? this.#refuse(claims) : { status: 204, headers: noStore, body: '' };
  }

  #patched(patched: WhipPatched): HttpReply {
    switch (patched.outcome) {
      case 'trickled':
        return emptyReply;
      case 'restarted': {
        const headers = { ...noStore, 'content-type': fragmentType, etag: `"${patched.iceTag}"` };
        return { status: 200, headers, body: patched.fragment };
      }
      case 'stale':
        return this.#refuse(
          problem('ice-session-changed', 'ICE was restarted since; send If-Match: * to restart it again.'),
        );
      case 'too-many':
        return this.#refuse(problem('too-many-requests', 'Send candidates together, and restart ICE more rarely.'), {
          'retry-after': '1',
        });
      case 'malformed':
        return this.#refuse(problem('bad-fragment', `In the fragment, ${patched.detail}.`));
    }
  }

  async #grant(token: string | null, room: string): Promise<JoinGrant | Problem> {
    const grant = await this.#deps.admission.grant(token, room);
    if (grant instanceof Problem) return grant;
    const needed = this.#role === 'whip' ? 'publish' : 'subscribe';
    if (grant.can.includes(needed)) return grant;
    return problem('not-permitted', `The token does not permit "${needed}"; ask for one that does.`);
  }

  /** Whose session it is; a problem where that is not proved. */
  #claims({ head, params }: RoutedRequest): ResumeClaims | Problem {
    const name = this.#deps.tokens.verifyWhipName(params['session'] ?? '');
    if (name === null || name.claims.room !== params['room']) return ended;
    if (!name.needsToken) return name.claims;
    const token = bearerToken(head);
    if (token === null) return problem('token-missing', 'Send the token that the session was opened with.');
    return name.openedBy(token)
      ? name.claims
      : problem('not-permitted', 'The session was opened with another token; send that one.');
  }

  #refuse(refusal: Problem, headers: Readonly<Record<string, string>> = {}): HttpReply {
    const challenge = refusal.code.startsWith('token-') ? { 'www-authenticate': 'Bearer' } : {};
    return this.#deps.admission.refuse(refusal, { ...challenge, ...headers });
  }
}

const elsewhere = problem(
  'upstream-not-allowed',
  'The session would be with an SFU of others, which WHIP cannot be passed on to; ask that one by its own WHIP.',
);
const ended = problem('session-unknown', 'The session has ended, or was never here; open another one by POST.');

function checkHead(head: RequestHead, room: string): Problem | null {
  if (!isRoomName(room)) return problem('not-found', 'A room has a name of 1 to 64 printable characters.');
  if (!isOfType(head.header('content-type'), sdpType)) {
    return problem('unsupported-media-type', `Send the offer as ${sdpType}.`);
  }
  const accept = head.header('accept');
  if (accept === '' || accept.split(',').some((range) => isRangeOf(range, sdpType))) return null;
  return problem('not-acceptable', `The answer is ${sdpType}: leave Accept out, or name that.`);
}

/** The ICE sessions that the request is for; null: any. Tags are compared as strong ones (RFC 9110 section 13.1.1). */
function iceTagsOf(header: string): readonly string[] | null | Problem {
  const text = header.trim();
  if (text === '') {
    return problem('if-match-missing', 'Send If-Match with the ETag of the session, or with * to restart ICE.');
  }
  // RFC 9725's example has it in quotes.
  if (text === '*' || text === '"*"') return null;
  return text.split(',').flatMap((tag) => /^\s*"([^"]*)"\s*$/.exec(tag)?.[1] ?? []);
}

function isOfType(header: string, type: string): boolean {
  return header.split(';')[0]?.trim().toLowerCase() === type;
}

function isRangeOf(range: string, type: string): boolean {
  return [type, 'application/*', '*/*'].some((candidate) => isOfType(range, candidate));
}

/** `?name=` is what others see where the token names nobody; null where there is none. */
function nameOf(head: RequestHead): string | null | Problem {
  const name = new URLSearchParams(head.query).get('name');
  if (name === null || isName(name)) return name;
  return problem('bad-request', '"name" must be a text of 1 to 64 printable characters.');
}

function textOf(body: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    return null;
  }
}

/** RFC 9725 section 4.6. */
function linksTo(servers: readonly IceServer[]): string {
  return servers
    .flatMap(({ urls, username, credential }) =>
      urls.map(
        (url) =>
          `<${url}>; rel="ice-server"; username="${username}"; credential="${credential}"; credential-type="password"`,
      ),
    )
    .join(', ');
}
