/**
 * `POST /v1/doctor`: what somebody needs who wants to know which rungs work from where they are, without being invited to
 * any room. The token is for a room that nobody can guess, for a minute, and for two participants: the two ends of a test.
 */
import { randomBytes } from 'node:crypto';
import { X509Certificate } from 'node:crypto';
import type { TokenAuthority } from './auth.ts';
import type { CertificateSet } from './certificates.ts';
import { jsonReply, problem, problemReply } from './problem.ts';
import type { RateLimiter } from './rate-limit.ts';
import type { Route } from './router.ts';

export interface DoctorApiDeps {
  readonly tokens: TokenAuthority;
  readonly certificates: CertificateSet;
  readonly limiter: RateLimiter;
  readonly addresses: readonly string[];
  readonly ports: () => { readonly tcp: number; readonly udp: number; readonly turnUdp: number };
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly draining: () => boolean;
  readonly refused: (reason: string) => void;
}

/** A doctor is done in half of it. */
export const probeSeconds = 60;
/** The two ends of a test. */
export const probeParticipants = 2;

export function doctorRoutes(deps: DoctorApiDeps): readonly Route[] {
  const { tokens, certificates, limiter, addresses, ports, now, draining, refused } = deps;
  return [
    {
      method: 'POST',
      pattern: '/v1/doctor',
      maxBodyBytes: 0,
      handle: async ({ head }) => {
        if (!limiter.take(head.remoteAddress, now())) {
          refused('too-many-requests');
          const refusal = problem('too-many-requests', 'Too many tests came from this address; wait a minute.');
          return problemReply(refusal, { 'retry-after': '60' });
        }
        if (draining()) {
          refused('draining');
          return problemReply(problem('draining', 'This edge is being taken out of service; test another one.'));
        }
        const room = `doctor-${randomBytes(16).toString('base64url')}`;
        const can = ['publish', 'subscribe'] as const;
        const grant = { identity: null, room, name: null, can, hidden: false, probe: true } as const;
        return jsonReply(201, {
          room,
          token: await tokens.issueJoinToken(grant, probeSeconds),
          // Whoever asks learns how the edge sees them, and nothing of anybody else.
          seen: { address: head.remoteAddress, via: head.header('via'), forwardedFor: head.header('x-forwarded-for') },
          edge: { addresses, ports: ports() },
          // Who sees another certificate than these talks to somebody in between.
          certificates: certificates.all.map(({ cert }) => new X509Certificate(cert).fingerprint256),
        });
      },
    },
  ];
}
