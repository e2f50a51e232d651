/** The edge under test, with an echo in the SFU's place, in a process of its own. */
import { createTurnCredentials } from '../../turn/index.ts';
import { transportMeta, type Path } from '../../tunnel-protocol/index.ts';
import { startEdge, type TestEdge } from '../e2e/edge.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { createSinkSfu } from '../tunnel/sink-sfu.ts';
import type { LoadCredentials } from './load-client.ts';

export interface TurnServerPorts {
  readonly udp: number;
  /** Of TURN over TCP and over TLS. */
  readonly tcp: number;
  /** Of the SFU. */
  readonly media: number;
}

const secret = 'a secret for benchmarks, and for nothing else';
const credentialSeconds = 3600;
const unlimited = { burst: 1e9, perSecond: 1e9 };

let edge: TestEdge | null = null;

/** Sends back what it gets, by the path that it came on. */
const echo = {
  ...createSinkSfu(),
  receive: (path: Path, datagram: Uint8Array): void => {
    if (path.owner === null) {
      path.owner = echo;
      path.bind();
    }
    path.send(new Uint8Array(datagram), transportMeta);
  },
};

serveCommands({
  async start({ relayAllow }: { relayAllow: readonly string[] }): Promise<TurnServerPorts> {
    edge = await startEdge({
      turn: true,
      environment: { SALLYPORT_SECRET: secret, SALLYPORT_RELAY_ALLOW: relayAllow.join(',') },
      deps: { createSfu: () => echo, limits: { sessions: unlimited, strangers: unlimited } },
    });
    return {
      udp: edge.turnUdpPort,
      tcp: edge.port,
      media: edge.udpPort,
    };
  },
  /** Each session has quotas of its own. */
  credentials(sessionId: string): LoadCredentials {
    return createTurnCredentials(secret, sessionId, Date.now() / 1000 + credentialSeconds);
  },
  async stop(): Promise<void> {
    for (const error of edge?.errors ?? []) console.error('the edge logged:', error);
    await edge?.close();
  },
});
