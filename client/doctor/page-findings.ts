/** What a page can conclude about a network: it sees neither certificates nor proxies, but what works and what does not. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { ClientErrorCode } from '../errors.ts';
import type { Invitation } from './invitation.ts';
import type { Ipv6Finding, NetworkFindings, RungVerdict } from './types.ts';

export interface PageSigns {
  readonly invitation: Invitation | null;
  readonly problem: { readonly code: ClientErrorCode } | null;
  readonly verdicts: readonly RungVerdict[];
  /** Addresses of the edge that ICE got an answer from. */
  readonly reached: readonly string[];
}

export function pageFindings({ invitation, problem, verdicts, reached }: PageSigns): NetworkFindings {
  const of = (rung: Rung): RungVerdict | undefined => verdicts.find((verdict) => verdict.rung === rung);
  const works = (rung: Rung): boolean => of(rung)?.outcome === 'works';
  const blocked = (rung: Rung): boolean => of(rung)?.outcome === 'blocked';
  const longPollAlone = blocked('http-stream') && works('long-poll');
  return {
    proxy: null,
    certificate: null,
    // A page is not told why a WebSocket did not open; where HTTP carries media, the way itself is free.
    upgradeStripped: blocked('websocket') && (works('http-stream') || works('long-poll')),
    buffering: longPollAlone,
    captivePortal: problem?.code === 'captive-portal',
    ipv6: ipv6Of(invitation, reached),
    seenAs: invitation?.seenAs ?? null,
    via: invitation?.via ?? null,
  };
}

function ipv6Of(invitation: Invitation | null, reached: readonly string[]): Ipv6Finding {
  if (invitation === null) return 'unknown';
  const { seenAs, edge } = invitation;
  if ((seenAs !== null && isIpv6(seenAs)) || reached.some(isIpv6)) return 'works';
  if (!edge.addresses.some(isIpv6)) return 'edge-has-none';
  // Nothing is known where not even IPv4 was tried with success: ICE may be blocked as such.
  return reached.length > 0 ? 'not-from-here' : 'unknown';
}

/** An IPv4-mapped address (RFC 4291 section 2.5.5.2) is none. */
function isIpv6(address: string): boolean {
  return address.includes(':') && !/^(\[?::ffff:)\d+\./i.test(address);
}
