/** Join tokens, which say who may do what in which room, and resume tokens, which prove a session. */
import { createHash, createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import { errors, jwtVerify, SignJWT, type JWTPayload } from 'jose';
import type { Permission } from '../tunnel-protocol/index.ts';
import { parseRelayAllow } from '../turn/index.ts';
import { Problem, problem } from './problem.ts';
import type { Secret } from './secret.ts';
import { isName, isRoomName } from './names.ts';

export const permissions = ['publish', 'subscribe', 'data', 'admin'] as const satisfies readonly Permission[];

/** What a join token grants. An identity or a name that is null is for the joining client to choose. */
export interface JoinGrant {
  readonly identity: string | null;
  /** `*`, for administrators only, is every room. */
  readonly room: string;
  readonly name: string | null;
  readonly can: readonly Permission[];
  readonly hidden: boolean;
  /** The room is recorded from when this one joins. */
  readonly record?: boolean;
  /** For a test of the network: the session ends soon, whatever happens, and few share its room. */
  readonly probe?: boolean;
  /**
   * Which of the SFUs of others the session may reach, as `parseRelayAllow` reads them; the tunnel goes to the first that is
   * one address and port. Absent: all that the edge allows.
   */
  readonly upstream?: readonly string[];
}

export interface ResumeClaims {
  readonly session: string;
  readonly room: string;
  /** The SFU node that holds the session, and its epoch there. */
  readonly node: string;
  readonly epoch: number;
  /** Whose session it is, for one who has to join again. */
  readonly identity?: string;
}

/** RFC 7518 section 3.2 wants keys of HS256 at least as long as its hash. */
export const recommendedSecretBytes = 32;
const maxTokenLength = 4096;
const clockToleranceSeconds = 5;
const maxUpstreams = 16;

export class TokenAuthority {
  readonly #joinKey: KeyObject;
  /** Another key, so that neither kind of token can pass for the other. */
  readonly #resumeKey: Buffer;
  readonly #whipKey: Buffer;
  readonly #nowMs: () => number;

  /** `nowMs` is the wall clock. */
  constructor(secret: Secret, nowMs: () => number = Date.now) {
    const bytes = Buffer.from(secret.reveal());
    this.#joinKey = createSecretKey(bytes);
    this.#resumeKey = createHmac('sha256', bytes).update('sallyport resume token 1').digest();
    this.#whipKey = createHmac('sha256', bytes).update('sallyport whip session 1').digest();
    this.#nowMs = nowMs;
  }

  issueJoinToken(grant: JoinGrant, ttlSeconds: number): Promise<string> {
    const now = Math.floor(this.#nowMs() / 1000);
    const jwt = new SignJWT({
      room: grant.room,
      can: [...grant.can],
      ...(grant.name === null ? {} : { name: grant.name }),
      ...(grant.hidden ? { hidden: true } : {}),
      ...(grant.record === true ? { record: true } : {}),
      ...(grant.probe === true ? { probe: true } : {}),
      ...(grant.upstream === undefined ? {} : { upstream: [...grant.upstream] }),
    });
    if (grant.identity !== null) jwt.setSubject(grant.identity);
    return jwt
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setIssuedAt(now)
      .setExpirationTime(now + ttlSeconds)
      .sign(this.#joinKey);
  }

  /** Never throws for what a client may send. */
  async verifyJoinToken(token: string): Promise<JoinGrant | Problem> {
    if (token.length > maxTokenLength) return problem('token-invalid', 'The token is too long to be one.');
    try {
      const { payload } = await jwtVerify(token, this.#joinKey, {
        algorithms: ['HS256'],
        requiredClaims: ['exp', 'room', 'can'],
        clockTolerance: clockToleranceSeconds,
        currentDate: new Date(this.#nowMs()),
      });
      return grantOf(payload);
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        return problem('token-expired', 'The token has expired; ask the application for a new one.');
      }
      if (error instanceof errors.JWTClaimValidationFailed) {
        const fault = error.reason === 'missing' ? 'is missing' : 'does not allow it to be used (now)';
        return problem('token-invalid', `The token's claim "${error.claim}" ${fault}.`);
      }
      if (error instanceof errors.JOSEError) {
        return problem('token-invalid', 'The token is not one that this server signed; is the secret the same?');
      }
      throw error;
    }
  }

  issueResumeToken(claims: ResumeClaims): string {
    return seal([claims.session, claims.room, claims.node, claims.epoch, claims.identity], this.#resumeKey);
  }

  /** Null for anything that {@link issueResumeToken} did not make with this secret. */
  verifyResumeToken(token: string): ResumeClaims | null {
    const claims = unseal(token, this.#resumeKey);
    return claims === null ? null : claimsOf(claims);
  }

  /**
   * The name of a WHIP or WHEP session in its URL, which proxies may log: where the session was opened with a token, whoever
   * uses the name has to show that one, too.
   */
  issueWhipName(claims: ResumeClaims, token: string | null): string {
    const { session, room, node, epoch } = claims;
    return seal([session, room, node, epoch, null, token === null ? null : digest(token)], this.#whipKey);
  }

  /** Null for anything that {@link issueWhipName} did not make with this secret. */
  verifyWhipName(name: string): WhipName | null {
    const claims = unseal(name, this.#whipKey);
    if (claims === null) return null;
    const opened = claims[5];
    return { claims: claimsOf(claims), needsToken: opened !== null, openedBy: (token) => digest(token) === opened };
  }
}

/** What was sealed: text and numbers in this order. */
type Sealed = readonly [string, string, string, number, (string | null)?, (string | null)?];

export interface WhipName {
  readonly claims: ResumeClaims;
  readonly needsToken: boolean;
  readonly openedBy: (token: string) => boolean;
}

function claimsOf([session, room, node, epoch, identity]: Sealed): ResumeClaims {
  return { session, room, node, epoch, ...(identity == null ? {} : { identity }) };
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function seal(content: readonly unknown[], key: Buffer): string {
  const payload = Buffer.from(JSON.stringify(content)).toString('base64url');
  return `${payload}.${sealOf(payload, key).toString('base64url')}`;
}

function unseal(token: string, key: Buffer): Sealed | null {
  if (token.length > maxTokenLength) return null;
  const [payload, given, ...rest] = token.split('.');
  if (payload === undefined || given === undefined || rest.length > 0) return null;
  const bytes = Buffer.from(given, 'base64url');
  const expected = sealOf(payload, key);
  if (bytes.length !== expected.length || !timingSafeEqual(bytes, expected)) return null;
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as Sealed;
}

function sealOf(payload: string, key: Buffer): Buffer {
  return createHmac('sha256', key).update(payload).digest();
}

function grantOf(payload: JWTPayload): JoinGrant | Problem {
  const { sub, room, name, can, hidden, probe, record, upstream } = payload as Record<string, unknown>;
  const invalid = (claim: string): Problem => problem('token-invalid', `The token's claim "${claim}" is not valid.`);
  if (sub !== undefined && (typeof sub !== 'string' || !isName(sub))) return invalid('sub');
  if (name !== undefined && (typeof name !== 'string' || !isName(name))) return invalid('name');
  if (!Array.isArray(can) || !can.every(isPermission)) return invalid('can');
  const everyRoom = room === '*' && can.includes('admin');
  if (typeof room !== 'string' || !(everyRoom || isRoomName(room))) return invalid('room');
  if (hidden !== undefined && typeof hidden !== 'boolean') return invalid('hidden');
  if (probe !== undefined && typeof probe !== 'boolean') return invalid('probe');
  if (record !== undefined && typeof record !== 'boolean') return invalid('record');
  const upstreams = typeof upstream === 'string' ? [upstream] : upstream;
  if (upstreams !== undefined && !isUpstreamList(upstreams)) return invalid('upstream');
  const grant = { identity: sub ?? null, room, name: name ?? null, can: [...new Set(can)], hidden: hidden ?? false };
  return {
    ...grant,
    ...(record === true ? { record } : {}),
    ...(probe === true ? { probe } : {}),
    ...(upstreams === undefined ? {} : { upstream: upstreams }),
  };
}

function isUpstreamList(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > maxUpstreams) return false;
  return value.every((entry: unknown) => typeof entry === 'string' && isUpstream(entry));
}

/** One entry, as in `SALLYPORT_RELAY_ALLOW`. */
export function isUpstream(entry: string): boolean {
  try {
    parseRelayAllow(entry);
    return true;
  } catch {
    return false;
  }
}

function isPermission(value: unknown): value is Permission {
  return (permissions as readonly unknown[]).includes(value);
}
