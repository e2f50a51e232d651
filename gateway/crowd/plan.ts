/** What the two processes of a crowd tell each other. */

/** One of each is a connection that is opened, used, kept, and used again when all are there. */
export const crowdKinds = ['h2', 'websocket', 'http1', 'turn-tls', 'turn-tcp', 'ice-tcp'] as const;
export type CrowdKind = (typeof crowdKinds)[number];

/** To the crowd: where to go, and what it takes to be served there. */
export interface CrowdPlan {
  readonly port: number;
  readonly count: number;
  /** ICE connectivity checks, as hex; for the connections of ICE-TCP in turn. */
  readonly checks: readonly string[];
  /** For the connections of TURN, of either kind, in turn. */
  readonly turnUsers: readonly { readonly username: string; readonly credential: string }[];
}

/** From the crowd. */
export type CrowdReport =
  | {
      readonly step: 'all-open';
      readonly opened: Readonly<Record<CrowdKind, number>>;
      readonly seconds: number;
    }
  | { readonly step: 'all-served'; readonly served: Readonly<Record<CrowdKind, number>>; readonly seconds: number };

/** To the clients of a soak. */
export interface SoakPlan extends CrowdPlan {
  readonly onlyKind: string | null;
}

/** From the clients of a soak, of each kind when it is done; null at the end. */
export interface SoakReport {
  readonly kind: string;
  /** To the end. */
  readonly served: number;
  readonly unserved: number;
  readonly seconds: number;
}
