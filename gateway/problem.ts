/** Every error the public port answers with: `application/problem+json` (RFC 9457) with a stable `code`. */

export interface HttpReply {
  readonly status: number;
  /** Names in lower case. `content-length` is the engine's business. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

interface ProblemEntry {
  readonly status: number;
  readonly title: string;
}

export const problems = {
  'bad-request': { status: 400, title: 'The request is not understood.' },
  'bad-offer': { status: 400, title: 'The session description is not understood.' },
  'bad-fragment': { status: 400, title: 'The SDP fragment is not understood.' },
  'token-missing': { status: 401, title: 'A token is needed.' },
  'token-invalid': { status: 401, title: 'The token is not valid.' },
  'token-expired': { status: 401, title: 'The token has expired.' },
  'room-mismatch': { status: 403, title: 'The token is for another room.' },
  'not-permitted': { status: 403, title: 'The token does not permit this.' },
  'upstream-not-allowed': { status: 403, title: 'This edge may not reach that SFU.' },
  'origin-not-allowed': { status: 403, title: 'This web origin may not use this server.' },
  'not-found': { status: 404, title: 'There is nothing here.' },
  'session-unknown': { status: 404, title: 'This session is not known, or has ended.' },
  'method-not-allowed': { status: 405, title: 'This method cannot be used here.' },
  'not-acceptable': { status: 406, title: 'The answer would be of a type that is not accepted.' },
  'no-tunnel': { status: 409, title: 'The session has no WebSocket here that this one could go with.' },
  'request-timeout': { status: 408, title: 'The body did not come in time.' },
  'ice-session-changed': { status: 412, title: 'The ICE session is another one by now.' },
  'payload-too-large': { status: 413, title: 'The body is too large.' },
  'unsupported-media-type': { status: 415, title: 'The body is of a type that is not taken here.' },
  'offer-unsupported': { status: 422, title: 'The offer is understood, but cannot be served.' },
  'upgrade-required': { status: 426, title: 'This is a WebSocket endpoint.' },
  'if-match-missing': { status: 428, title: 'The request does not say which ICE session it is for.' },
  'too-many-requests': { status: 429, title: 'Too many requests from this address.' },
  'headers-too-large': { status: 431, title: 'The request header is too large.' },
  internal: { status: 500, title: 'The server failed.' },
  'upstream-failed': { status: 502, title: 'The server behind this one failed.' },
  draining: { status: 503, title: 'This edge takes no new sessions; use another one.' },
  'room-full': { status: 503, title: 'The room is full.' },
  'upstream-unavailable': { status: 503, title: 'No SFU can be reached just now.' },
  'recording-unavailable': { status: 503, title: 'There is nowhere to put recordings.' },
  'upstream-busy': { status: 503, title: 'The servers behind this one are busy.' },
  'upstream-timeout': { status: 504, title: 'The server behind this one does not answer.' },
} as const satisfies Record<string, ProblemEntry>;

export type ProblemCode = keyof typeof problems;

/** A refusal: what went wrong, for the client, in one sentence that says what to do. Never holds a token. */
export class Problem {
  readonly code: ProblemCode;
  readonly detail: string;

  constructor(code: ProblemCode, detail: string) {
    this.code = code;
    this.detail = detail;
  }
}

export function problem(code: ProblemCode, detail: string): Problem {
  return new Problem(code, detail);
}

/** Why a connection of a session may not be tried; null: it may. */
export function attachRefusal(verdict: 'yes' | 'unknown' | 'unavailable'): Problem | null {
  if (verdict === 'unknown') return problem('session-unknown', 'The session has ended; ask for a new one.');
  if (verdict === 'yes') return null;
  return problem('upstream-unavailable', 'The SFU node of the session is out of reach; try again in a second.');
}

export function problemReply(refusal: Problem, headers: Readonly<Record<string, string>> = {}): HttpReply {
  const { status, title } = problems[refusal.code];
  return {
    status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...headers },
    body: JSON.stringify({ type: 'about:blank', title, status, code: refusal.code, detail: refusal.detail }),
  };
}

export function jsonReply(status: number, value: object): HttpReply {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: JSON.stringify(value),
  };
}

export const emptyReply: HttpReply = { status: 204, headers: { 'cache-control': 'no-store' }, body: '' };
