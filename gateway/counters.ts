/** What the gateway counts while it works: plain numbers, read at a scrape. */

/** Why a datagram went no further. */
export const dropReasons = [
  'class',
  'oversized',
  'unknown-source',
  'rate-limited',
  'control-not-allowed',
  'queue-full',
  'stale',
  'frame',
  'dependent',
  'closed',
  'send-failed',
] as const;
export type DropReason = (typeof dropReasons)[number];

export interface Traffic {
  received: number;
  sent: number;
  readonly dropped: Record<DropReason, number>;
}

export class GatewayCounters {
  readonly udp: Traffic = newTraffic();
  readonly iceTcp: Traffic = newTraffic();
  readonly websocket: Traffic = newTraffic();
  readonly httpStream: Traffic = newTraffic();
  readonly longPoll: Traffic = newTraffic();
  /** Requests, connections and messages that were turned away, by reason. */
  readonly refused = new Map<string, number>();
  tunnelsAccepted = 0;
  tunnelsRefused = 0;
  /** WebSockets for audio beside those. */
  audioConnections = 0;
  /** Connections made of HTTP exchanges that were begun, and requests of theirs that were turned away. */
  readonly httpTunnels = {
    'http-stream': { accepted: 0, refused: 0 },
    'long-poll': { accepted: 0, refused: 0 },
  };

  refuse(reason: string): void {
    this.refused.set(reason, (this.refused.get(reason) ?? 0) + 1);
  }
}

export function newTraffic(): Traffic {
  const dropped = Object.fromEntries(dropReasons.map((reason) => [reason, 0])) as Record<DropReason, number>;
  return { received: 0, sent: 0, dropped };
}
