/** The sender of the aging bench: an edge with a source of media in the SFU's place, and beside it a plain relay. */
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { WebSocketServer } from 'ws';
import { startEdge, type TestEdge } from '../e2e/edge.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { setCongestion } from './congestion.ts';
import { machineNow, MediaSink, MediaSource } from './media-packets.ts';
import type { MediaReading, MediaSent } from './media-packets.ts';
import { createSinkSfu } from './sink-sfu.ts';

const sink = createSinkSfu();
let edge: TestEdge | null = null;
let source: MediaSource | null = null;
let media = new MediaSink();

serveCommands({
  async start({ address, dataDir }: { address: string; dataDir: string }): Promise<{ edge: string; relay: string }> {
    const environment = { SALLYPORT_HOST: address, SALLYPORT_DATA_DIR: dataDir, SALLYPORT_PUBLIC_ADDRESS: address };
    edge = await startEdge({ environment, deps: { createSfu: () => sink } });
    const relayPort = await startRelay(dataDir, address);
    return {
      edge: `https://${address}:${String(edge.port)}`,
      relay: `wss://${address}:${String(relayPort)}`,
    };
  },
  congestion: setCongestion,
  /** To the tunnel that is open. */
  startMedia(deadlines: boolean): void {
    const [tunnel] = sink.paths;
    if (tunnel === undefined) throw new Error('no tunnel is open');
    source = new MediaSource(deadlines, (datagram, meta) => tunnel.send(datagram, meta));
    tunnel.onDrop = source.dropped;
    source.start();
  },
  stopMedia(): MediaSent | undefined {
    return source?.stop();
  },
  /** Takes what comes by tunnel. */
  receive(): void {
    media = new MediaSink();
    sink.onDatagram = (datagram) => {
      media.take(datagram);
    };
  },
  now: machineNow,
  reading({ from, until }: { from: number; until: number }): MediaReading {
    return media.reading(from, until);
  },
  recoveryMs(at: number): number {
    return media.recoveryMs(at);
  },
  async stop(): Promise<void> {
    await edge?.close();
  },
});

/** What one writes in an afternoon: every datagram is a message, at once. */
function startRelay(dataDir: string, address: string): Promise<number> {
  const file = (name: string): string => readFileSync(path.join(dataDir, name), 'utf8');
  // What the edge has made for itself.
  const server = createServer({ cert: file('tls-cert.pem'), key: file('tls-key.pem') });
  new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) => {
    socket.once('message', () => {
      source = new MediaSource(false, (datagram) => {
        socket.send(datagram);
      });
      source.start();
    });
  });
  return new Promise((resolve) => {
    server.listen(0, address, () => {
      resolve((server.address() as { port: number }).port);
    });
  });
}
