/** Which rungs a browser's own ICE may use, and what its peer connection has to be given for that. */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { IceServer } from '../control/index.ts';
import { parseTurnUri } from '../turn-client/index.ts';

export type NativeRung = (typeof nativeRungs)[number];
type TurnRung = (typeof turnRungs)[number];
export type CandidateTransport = 'udp' | 'tcp';

const turnRungs = ['turn-udp', 'turn-tcp', 'turn-tls'] as const;

/** What a browser's own ICE can end on, best first. */
export const nativeRungs = ['udp', 'turn-udp', 'ice-tcp', 'turn-tcp', 'turn-tls'] as const satisfies readonly Rung[];

export interface IcePlan {
  readonly iceServers: readonly IceServer[];
  /** `relay` keeps ICE from every way but those through the servers. */
  readonly iceTransportPolicy: 'all' | 'relay';
  /** Which of the candidates in the server's answer may stay. */
  readonly transports: readonly CandidateTransport[];
  /** What ICE can end on by this plan, best first. Empty if the server offers none of the rungs that are allowed. */
  readonly rungs: readonly NativeRung[];
}

export function isNativeRung(rung: Rung): rung is NativeRung {
  return (nativeRungs as readonly Rung[]).includes(rung);
}

/** The better of the two stands first on the ladder. */
export function isBetterRung(rung: Rung, than: Rung): boolean {
  return rungs.indexOf(rung) < rungs.indexOf(than);
}

/**
 * `allowed`: all rungs if absent. ICE can be kept from host candidates only as a whole, so where `udp` is not allowed but
 * both `ice-tcp` and TURN are, TURN alone is used.
 */
export function planIce(iceServers: readonly IceServer[], allowed: readonly Rung[] = rungs): IcePlan {
  const relays = onlyRungs(iceServers, allowed);
  const relayed = turnRungs.filter((rung) =>
    relays.some(({ urls }) => asList(urls).some((url) => rungOfUrl(url) === rung)),
  );
  const relayOnly = !allowed.includes('udp') && relayed.length > 0;
  const direct = relayOnly ? [] : (['udp', 'ice-tcp'] as const).filter((rung) => allowed.includes(rung));
  const usable: readonly NativeRung[] = [...direct, ...relayed];
  return {
    // Servers that are no TURN servers of a known kind are kept where nothing is to be kept out.
    iceServers: rungs.every((rung) => allowed.includes(rung)) ? iceServers : relays,
    iceTransportPolicy: relayOnly ? 'relay' : 'all',
    transports: [
      ...(allowed.includes('udp') || relayed.length > 0 ? (['udp'] as const) : []),
      ...(direct.includes('ice-tcp') ? (['tcp'] as const) : []),
    ],
    rungs: nativeRungs.filter((rung) => usable.includes(rung)),
  };
}

/** Null for what is no way of media: `stun:`, DTLS, and what is no URI of TURN at all. */
export function rungOfUrl(url: string): TurnRung | null {
  const uri = parseTurnUri(url);
  if (uri === null) return null;
  if (uri.transport === 'udp') return uri.secure ? null : 'turn-udp';
  return uri.secure ? 'turn-tls' : 'turn-tcp';
}

export interface FilteredAnswer {
  readonly sdp: string;
  /** Of the candidates that are left. */
  readonly transports: readonly CandidateTransport[];
}

/** Takes the candidates of other transports out of an answer (RFC 8839 section 5.1). */
export function keepCandidates(sdp: string, transports: readonly CandidateTransport[]): FilteredAnswer {
  const left = new Set<CandidateTransport>();
  const lines = sdp.split('\r\n').filter((line) => {
    const transport = /^a=candidate:\S+ \d+ (\S+) /.exec(line)?.[1]?.toLowerCase();
    if (transport === undefined) return true;
    if (transport !== 'udp' && transport !== 'tcp') return false;
    if (!transports.includes(transport)) return false;
    left.add(transport);
    return true;
  });
  return { sdp: lines.join('\r\n'), transports: [...left] };
}

function onlyRungs(iceServers: readonly IceServer[], allowed: readonly Rung[]): readonly IceServer[] {
  return iceServers.flatMap((server) => {
    const urls = asList(server.urls).filter((url) => {
      const rung = rungOfUrl(url);
      return rung !== null && allowed.includes(rung);
    });
    return urls.length === 0 ? [] : [{ ...server, urls }];
  });
}

function asList(urls: string | readonly string[]): readonly string[] {
  return typeof urls === 'string' ? [urls] : urls;
}
