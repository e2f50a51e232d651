/** The connections and allocations of the rungs that have to be opened: ICE-TCP and TURN. */
import type { Rung, TransportAddress } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import type { TurnRung, TurnServer } from './ice-servers.ts';
import { IceTcpLink } from './ice-tcp-link.ts';
import type { PathLink, PathLinkEvents } from './path-link.ts';
import type { ProxyRoute } from './proxy-route.ts';
import type { TlsTrust } from './tls-trust.ts';
import { TurnLink } from './turn-link.ts';

export type LinkRung = TurnRung | 'ice-tcp';

export function isLinkRung(rung: Rung): rung is LinkRung {
  return rung === 'ice-tcp' || rung === 'turn-udp' || rung === 'turn-tcp' || rung === 'turn-tls';
}

export interface RungLinksOptions {
  readonly turnServers: ReadonlyMap<TurnRung, TurnServer>;
  /** Of the media server, best first. */
  readonly candidates: readonly TransportAddress[];
  readonly tcpCandidates: readonly TransportAddress[];
  readonly trust: TlsTrust;
  readonly route: ProxyRoute;
  readonly clock: ClientClock;
}

export interface RungLinksEvents {
  /** Datagrams can be sent on this path. */
  opened(pathId: string, rung: LinkRung): void;
  /** Borrowed until the call returns. */
  datagram(pathId: string, datagram: Uint8Array): void;
  /** The path is gone. `last`: the rung has no other any more. */
  lost(pathId: string, rung: LinkRung, reason: string, last: boolean): void;
}

interface Entry {
  readonly rung: LinkRung;
  readonly link: PathLink;
}

export class RungLinks {
  readonly #options: RungLinksOptions;
  readonly #events: RungLinksEvents;
  readonly #entries = new Map<string, Entry>();
  #made = 0;

  constructor(options: RungLinksOptions, events: RungLinksEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** Whether there is a server for the rung. */
  offers(rung: LinkRung): boolean {
    const { turnServers, candidates, tcpCandidates } = this.#options;
    return rung === 'ice-tcp' ? tcpCandidates.length > 0 : turnServers.has(rung) && candidates.length > 0;
  }

  /** Opens a path of the rung, for ICE-TCP one to each candidate. {@link offers} is true. */
  open(rung: LinkRung): void {
    const { turnServers, candidates: peers, tcpCandidates, trust, route, clock } = this.#options;
    if (rung === 'ice-tcp') {
      const proxy = { route, trust, secure: true };
      for (const candidate of tcpCandidates) this.#add(rung, (events) => new IceTcpLink(candidate, proxy, events));
      return;
    }
    const server = turnServers.get(rung);
    if (server !== undefined) this.#add(rung, (events) => new TurnLink({ server, peers, trust, route, clock }, events));
  }

  /** The ids of the rung's paths. */
  of(rung: Rung): readonly string[] {
    return [...this.#entries].filter(([, entry]) => entry.rung === rung).map(([pathId]) => pathId);
  }

  /** Null when there is no such path. */
  find(pathId: string): PathLink | null {
    return this.#entries.get(pathId)?.link ?? null;
  }

  /** Without an event. */
  close(pathId: string): void {
    const entry = this.#entries.get(pathId);
    this.#entries.delete(pathId);
    entry?.link.close();
  }

  /** Ends a path that is of no use, with the event. */
  fail(pathId: string, reason: string): void {
    const entry = this.#entries.get(pathId);
    if (entry === undefined) return;
    entry.link.close();
    this.#lost(pathId, entry.rung, reason);
  }

  closeAll(): void {
    for (const pathId of [...this.#entries.keys()]) this.close(pathId);
  }

  #add(rung: LinkRung, create: (events: PathLinkEvents) => PathLink): void {
    // Another connection is another path at the server, so ids do not come again.
    const pathId = `${rung}-${String(this.#made++)}`;
    const link = create({
      opened: () => {
        this.#events.opened(pathId, rung);
      },
      datagram: (datagram) => {
        this.#events.datagram(pathId, datagram);
      },
      failed: (reason) => {
        this.#lost(pathId, rung, reason);
      },
    });
    this.#entries.set(pathId, { rung, link });
  }

  #lost(pathId: string, rung: LinkRung, reason: string): void {
    this.#entries.delete(pathId);
    this.#events.lost(pathId, rung, reason, this.of(rung).length === 0);
  }
}
