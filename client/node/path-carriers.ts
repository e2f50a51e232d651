/** What carries datagrams to the media server: UDP, the control channel's connection, and what the ladder opens. */
import type { Rung, SendMeta } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import type { ControlClient, IceServer } from '../control/index.ts';
import { readTurnServers } from './ice-servers.ts';
import type { ProxyRoute } from './proxy-route.ts';
import { RungLinks, isLinkRung } from './rung-links.ts';
import type { RungLinksEvents } from './rung-links.ts';
import type { Answer } from './sdp-answer.ts';
import type { TlsTrust } from './tls-trust.ts';
import { UdpPaths } from './udp-paths.ts';

export interface PathCarriersOptions {
  readonly control: ControlClient;
  readonly iceServers: readonly IceServer[];
  readonly trust: TlsTrust;
  readonly route: ProxyRoute;
  readonly clock: ClientClock;
}

/** The control channel's own connection, whatever carries it at present. */
export const tunnelPathId = 'tunnel';

export class PathCarriers {
  readonly links: RungLinks;
  readonly #control: ControlClient;
  readonly #udp: UdpPaths;

  constructor({ control, iceServers, ...options }: PathCarriersOptions, answer: Answer, events: RungLinksEvents) {
    const { candidates, tcpCandidates } = answer;
    this.#control = control;
    this.links = new RungLinks(
      { turnServers: readTurnServers(iceServers), candidates, tcpCandidates, ...options },
      events,
    );
    this.#udp = new UdpPaths(candidates, (pathId, datagram) => {
      events.datagram(pathId, datagram);
    });
  }

  /** Of UDP; their sockets are made when something is sent. */
  get udpPathIds(): readonly string[] {
    return this.#udp.pathIds;
  }

  /** Whether the server offers this rung. */
  offers(rung: Rung): boolean {
    if (isLinkRung(rung)) return this.links.offers(rung);
    return rung !== 'udp' || this.#udp.pathIds.length > 0;
  }

  /** Given away; false when it went nowhere. */
  send(pathId: string, datagram: Uint8Array, meta?: SendMeta): boolean {
    if (pathId === tunnelPathId) return this.#control.sendDatagram(datagram, meta);
    return this.links.find(pathId)?.send(datagram) ?? this.#udp.send(pathId, datagram);
  }

  /** Idempotent. */
  close(): void {
    this.links.closeAll();
    this.#udp.close();
  }
}
