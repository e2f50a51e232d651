/** Who may open a session here, and what they are told of this place: the same for `POST /v1/sessions`, WHIP and WHEP. */
import { SfuError } from '../sfu/index.ts';
import { parseAuthority } from './addresses.ts';
import type { JoinGrant, TokenAuthority } from './auth.ts';
import type { AuthMode, Config } from './config.ts';
import type { RequestHead } from './engine/index.ts';
import { Problem, problem, problemReply, type HttpReply } from './problem.ts';
import type { RateLimiter } from './rate-limit.ts';
import { UpstreamNotAllowed, UpstreamUnavailable } from './upstream/index.ts';

export interface AdmissionDeps {
  readonly tokens: TokenAuthority;
  readonly auth: AuthMode;
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
export interface Place {
  readonly host: string;
  readonly port: number;
}

export interface IceServer {
  readonly urls: readonly string[];
  readonly username: string;
  readonly credential: string;
}

const openGrant = { identity: null, name: null, can: ['publish', 'subscribe', 'data'], hidden: false } as const;

export class Admission {
  readonly #deps: AdmissionDeps;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /** What speaks against any new session now, before the request is looked at; null for nothing. */
  refusal({ remoteAddress }: RequestHead): HttpReply | null {
    const { limiter, now, draining } = this.#deps;
    if (!limiter.take(remoteAddress, now())) {
      const refusal = problem(
        'too-many-requests',
        'Too many sessions were asked for from this address; wait a moment.',
      );
      return this.refuse(refusal, { 'retry-after': '2' });
    }
    if (draining()) {
      return this.refuse(problem('draining', 'This edge is being taken out of service; connect to another one.'));
    }
    return null;
  }

  async grant(token: string | null, room: string): Promise<JoinGrant | Problem> {
    if (token === null) {
      if (this.#deps.auth === 'open') return { ...openGrant, room };
      return problem('token-missing', 'Joining needs a token; ask whoever invited you for a link or a token.');
    }
    const grant = await this.#deps.tokens.verifyJoinToken(token);
    if (grant instanceof Problem) return grant;
    if (grant.room !== room && grant.room !== '*') {
      return problem('room-mismatch', 'The token is for another room; join the room that it names.');
    }
    return grant;
  }

  /** A problem: the client does not say where it is, or not in a way that may stand in URLs. */
  place(head: RequestHead): Place | Problem {
    const { publicHost, port } = this.#deps;
    if (publicHost !== null) return { host: publicHost.host, port: publicHost.port ?? port() };
    const requested = parseAuthority(head.header('host'));
    if (requested === null) return problem('bad-request', 'The Host header is not a host and port.');
    return { host: requested.host, port: requested.port ?? 443 };
  }

  iceServers(place: Place, sessionId: string): readonly IceServer[] {
    const { turnUdpPort, turnCredentials } = this.#deps;
    return [{ urls: turnUrls(place, turnUdpPort()), ...turnCredentials(sessionId) }];
  }

  /** Why the SFU did not open a session. Throws what is a fault. */
  unopened(error: unknown): HttpReply {
    if (error instanceof UpstreamNotAllowed) return this.refuse(problem('upstream-not-allowed', error.message));
    if (!(error instanceof SfuError)) return this.unavailable(error);
    if (error.code === 'room-full') {
      return this.refuse(problem('room-full', 'The room has as many participants as it may have.'));
    }
    if (error.code === 'closed') return this.refuse(problem('draining', 'This edge is shutting down.'));
    throw error;
  }

  /** Throws what is no lack of an SFU. */
  unavailable(error: unknown): HttpReply {
    if (!(error instanceof UpstreamUnavailable)) throw error;
    const refusal = problem('upstream-unavailable', `Try again in a moment: ${error.message}.`);
    return this.refuse(refusal, { 'retry-after': String(error.retryAfterSeconds) });
  }

  refuse(refusal: Problem, headers: Readonly<Record<string, string>> = {}): HttpReply {
    this.#deps.refused(refusal.code);
    return problemReply(refusal, headers);
  }
}

/** RFC 7065. Ports are always named, because the schemes' own are 3478 and 5349. */
function turnUrls({ host, port }: Place, udpPort: number): readonly string[] {
  const streams = [`turn:${host}:${String(port)}?transport=tcp`, `turns:${host}:${String(port)}?transport=tcp`];
  return udpPort === 0 ? streams : [`turn:${host}:${String(udpPort)}?transport=udp`, ...streams];
}
