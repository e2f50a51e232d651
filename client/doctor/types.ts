/** What a doctor finds out; the same from a page and from the command line. */
import type { Rung } from '../../tunnel-protocol/index.ts';

/**
 * `works`: media went to the edge and came back. `blocked`: it did not, and `detail` says what happened. `not-offered`: this
 * edge does not have it. `untested`: there was no way to try.
 */
export type RungOutcome = 'works' | 'blocked' | 'not-offered' | 'untested';

export interface RungVerdict {
  readonly rung: Rung;
  readonly outcome: RungOutcome;
  /** A code of ClientError where there was an error. */
  readonly code: string | null;
  readonly detail: string | null;
  /** From the beginning of the attempt until media could flow. */
  readonly joinMs: number | null;
  /** From here to the edge and back: of test media, the median; in a page, of ICE's checks on the path, the shortest. */
  readonly latencyMs: number | null;
  readonly bitsPerSecond: number | null;
  /** 0–1 of the test media. */
  readonly lossFraction: number | null;
}

export interface CertificateFinding {
  readonly subject: string;
  readonly issuer: string;
  /** By this machine, with the authorities that it was told of. */
  readonly trusted: boolean;
  /** It is not one of the edge's own. Null: the edge could not be asked. */
  readonly intercepted: boolean | null;
}

export type Ipv6Finding = 'works' | 'edge-has-none' | 'not-from-here' | 'unknown';

/** What stands between here and the edge. */
export interface NetworkFindings {
  /** The proxy that requests go by, without its credentials. */
  readonly proxy: string | null;
  /** Null from a page, which cannot see it, and where no TLS came up. */
  readonly certificate: CertificateFinding | null;
  /** WebSocket is refused although HTTP passes. */
  readonly upgradeStripped: boolean;
  /** Answers arrive only when they are complete. */
  readonly buffering: boolean;
  /** Somebody else answered in the edge's place. */
  readonly captivePortal: boolean;
  readonly ipv6: Ipv6Finding;
  /** How the edge sees this client: the address, and what proxies wrote into the request. */
  readonly seenAs: string | null;
  readonly via: string | null;
}

export interface EdgeFinding {
  readonly addresses: readonly string[];
  /** `turnUdp` 0: not offered. */
  readonly ports: { readonly tcp: number; readonly udp: number; readonly turnUdp: number };
}

export interface DoctorReport {
  readonly version: 1;
  readonly url: string;
  readonly host: string;
  readonly when: string;
  readonly ms: number;
  /** Null: it could not be asked, and `problem` says why. */
  readonly edge: EdgeFinding | null;
  readonly problem: { readonly code: string; readonly message: string } | null;
  readonly network: NetworkFindings;
  /** Best first. */
  readonly rungs: readonly RungVerdict[];
  /** For the administrator of the network. */
  readonly advice: string;
}
