/** The receiver of the aging bench: one tunnel, with credits or without, or a plain WebSocket. */
import { Agent, fetch } from 'undici';
import WebSocket from 'ws';
import {
  capability,
  ControlEndpoint,
  controlType,
  forEachFrame,
  frameHeaderBytes,
  lane,
  transportMeta,
  TunnelFlow,
} from '../../tunnel-protocol/index.ts';
import type { SendMeta } from '../../tunnel-protocol/index.ts';
import { serveCommands } from '../harness/worker-process.ts';
import { setCongestion } from './congestion.ts';
import { machineNow, MediaSink, MediaSource } from './media-packets.ts';
import type { MediaReading, MediaSent } from './media-packets.ts';

const tls = { rejectUnauthorized: false, ...{ ALPNProtocols: ['http/1.1'] } };
const creditTickMs = 10;
let socket: WebSocket | null = null;
let sink = new MediaSink();
let timer: NodeJS.Timeout | null = null;
let source: MediaSource | null = null;
let upload: ((datagram: Uint8Array, meta: SendMeta) => void) | null = null;

serveCommands({
  async connectEdge({ url, credits }: { url: string; credits: boolean }): Promise<void> {
    sink = new MediaSink();
    const response = await fetch(`${url}/v1/sessions`, {
      dispatcher: new Agent({ connect: { rejectUnauthorized: false } }),
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ room: 'bench', client: { kind: 'bench', version: '1' } }),
    });
    const session = (await response.json()) as { resumeToken: string; tunnel: { websocket: string } };
    const bearer = `bearer.${Buffer.from(session.resumeToken).toString('base64url')}`;
    socket = new WebSocket(session.tunnel.websocket, ['sallyport.v1', bearer], { ...tls, perMessageDeflate: false });
    await opened(socket);
    await runTunnel(socket, credits);
  },
  async connectRelay(url: string): Promise<void> {
    sink = new MediaSink();
    socket = new WebSocket(url, { ...tls, perMessageDeflate: false });
    await opened(socket);
    socket.on('message', (data: Buffer) => {
      sink.take(data);
    });
    socket.send('begin');
  },
  /** To the edge, by the tunnel that is open. */
  startMedia(deadlines: boolean): void {
    source = new MediaSource(deadlines, (datagram, meta) => {
      upload?.(datagram, meta);
    });
    source.start();
  },
  stopMedia(): MediaSent | undefined {
    return source?.stop();
  },
  congestion: setCongestion,
  now: machineNow,
  reading({ from, until }: { from: number; until: number }): MediaReading {
    return sink.reading(from, until);
  },
  recoveryMs(at: number): number {
    return sink.recoveryMs(at);
  },
  close(): void {
    if (timer !== null) clearInterval(timer);
    socket?.terminate();
  },
});

async function opened(ws: WebSocket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
}

/** Resolves when the edge has answered the handshake. */
function runTunnel(ws: WebSocket, credits: boolean): Promise<void> {
  const now = performance.now();
  const control = new ControlEndpoint({ role: 'client', now, capabilities: credits ? capability.credit : 0 });
  const flow = new TunnelFlow({ now, messageBytes: 16_384, onDrop: (meta) => source?.dropped(meta) });
  const flush = (): void => {
    const at = performance.now();
    for (let message = flow.nextMessage(at); message !== null; message = flow.nextMessage(at)) ws.send(message);
  };
  upload = (datagram, meta) => {
    const at = performance.now();
    flow.push(datagram, meta, at);
    if (flow.wantsToSend(at)) flush();
  };
  control.connected(now);
  const open = control.nextOutput(now);
  if (open !== null) flow.push(open, { ...transportMeta, lane: lane.control }, now);
  flush();
  timer = setInterval(() => {
    if (flow.wantsToSend(performance.now())) flush();
  }, creditTickMs);
  return new Promise((resolve) => {
    ws.on('message', (data: Buffer) => {
      const at = performance.now();
      let bytes = data.length;
      forEachFrame(data, (frame) => {
        if (frame[0] === controlType.credit) {
          bytes -= frameHeaderBytes + frame.length;
          if (!flow.credit(frame, at)) throw new Error('the edge credits what was never sent');
        } else if (frame[0] === controlType.welcome) {
          if (credits) flow.agree();
          resolve();
        } else sink.take(frame);
      });
      flow.received(bytes, at);
      if (flow.wantsToSend(at)) flush();
    });
  });
}
