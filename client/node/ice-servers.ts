/** Which servers of `iceServers` stand for which rungs. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { IceServer } from '../control/index.ts';
import { parseTurnUri } from '../turn-client/index.ts';

export type TurnRung = Extract<Rung, 'turn-udp' | 'turn-tcp' | 'turn-tls'>;

export interface TurnServer {
  readonly rung: TurnRung;
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly credential: string;
}

/** The first server of each rung. Servers without credentials, STUN servers and TURN over DTLS are passed over. */
export function readTurnServers(iceServers: readonly IceServer[]): ReadonlyMap<TurnRung, TurnServer> {
  const servers = new Map<TurnRung, TurnServer>();
  for (const { urls, username, credential } of iceServers) {
    if (typeof username !== 'string' || typeof credential !== 'string') continue;
    for (const url of typeof urls === 'string' ? [urls] : urls) {
      const uri = parseTurnUri(url);
      if (uri === null || (uri.secure && uri.transport === 'udp')) continue;
      const rung = uri.secure ? 'turn-tls' : uri.transport === 'udp' ? 'turn-udp' : 'turn-tcp';
      if (servers.has(rung)) continue;
      servers.set(rung, { rung, host: uri.host, port: uri.port, username, credential });
    }
  }
  return servers;
}
