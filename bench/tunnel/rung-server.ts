/** The edge of a bench that compares rungs, with a source and sink of paced audio in the SFU's place. */
import { readFileSync } from 'node:fs';
import { createTurnCredentials } from '../../turn/index.ts';
import { lane, transportMeta, type Path, type SendMeta } from '../../tunnel-protocol/index.ts';
import { startEdge, type TestEdge } from '../e2e/edge.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { AgeLog, sendPaced, type Ages } from './age-log.ts';
import type { RungEnds } from './rung-client.ts';
import { createSinkSfu } from './sink-sfu.ts';

/** What passed an interface, both ways of it, with IP headers; a loopback interface has no others. */
export interface WireCount {
  readonly bytes: number;
  readonly packets: number;
}

const secret = 'a secret for benchmarks, and for nothing else';
const address = '127.0.0.1';
const audioMeta: SendMeta = { ...transportMeta, lane: lane.audio };
const unlimited = { burst: 1e9, perSecond: 1e9 };

const sink = createSinkSfu();
let log = new AgeLog();
let latest: Path | null = null;
let edge: TestEdge | null = null;
let stop: (() => number) | null = null;

const sfu = {
  ...sink,
  receive: (path: Path, datagram: Uint8Array): void => {
    if ((datagram[0] as number) >= 0xf0) {
      sink.receive(path, datagram);
      return;
    }
    if (path.owner === null) {
      path.owner = sfu;
      path.bind();
    }
    latest = path;
    log.take(datagram);
  },
};

serveCommands({
  async start(): Promise<RungEnds> {
    edge = await startEdge({
      environment: { SALLYPORT_SECRET: secret, SALLYPORT_RELAY_ALLOW: `${address}/32` },
      deps: { createSfu: () => sfu, limits: { sessions: unlimited, strangers: unlimited } },
    });
    const credentials = createTurnCredentials(secret, 'bench', Date.now() / 1000 + 3600);
    return { url: edge.url, port: edge.port, udpPort: edge.udpPort, credentials };
  },
  /** To whoever sent the last datagram. */
  send({ bytes, intervalMs }: { bytes: number; intervalMs: number }): void {
    stop = sendPaced(bytes, intervalMs, (datagram) => {
      latest?.send(datagram, audioMeta);
    });
  },
  stopSending(): number {
    return stop?.() ?? 0;
  },
  ages(): Ages {
    return log.ages();
  },
  resetAges(): void {
    log = new AgeLog();
  },
  /** Of the loopback interface of this process's network namespace. */
  wire(): WireCount {
    const line = /^\s*lo:\s*(\d+)\s+(\d+)/m.exec(readFileSync('/proc/self/net/dev', 'utf8'));
    return { bytes: Number(line?.[1] ?? 0), packets: Number(line?.[2] ?? 0) };
  },
  async end(): Promise<void> {
    for (const error of edge?.errors ?? []) console.error('the edge logged:', error);
    await edge?.close();
  },
});
