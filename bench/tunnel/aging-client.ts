/** The client of the aging bench: a tunnel, with credits or without, with a connection for audio or without, or a plain WebSocket. */
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

type Send = (datagram: Uint8Array, meta: SendMeta) => void;

const tls = { rejectUnauthorized: false, ...{ ALPNProtocols: ['http/1.1'] } };
const creditTickMs = 10;
const sockets: WebSocket[] = [];
const timers: NodeJS.Timeout[] = [];
let sink = new MediaSink();
let source: MediaSource | null = null;
let upload: Send | null = null;

serveCommands({
  /** With `split`, audio has a connection of its own. */
  async connectEdge({ url, credits, split }: { url: string; credits: boolean; split: boolean }): Promise<void> {
    sink = new MediaSink();
    await openTunnel(url, credits, split);
  },
  async connectRelay(url: string): Promise<void> {
    sink = new MediaSink();
    const socket = new WebSocket(url, { ...tls, perMessageDeflate: false });
    sockets.push(socket);
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
    for (const timer of timers) clearInterval(timer);
    for (const socket of sockets) socket.terminate();
  },
});

async function openTunnel(url: string, credits: boolean, split: boolean): Promise<void> {
  const response = await fetch(`${url}/v1/sessions`, {
    dispatcher: new Agent({ connect: { rejectUnauthorized: false } }),
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ room: 'bench', client: { kind: 'bench', version: '1' } }),
  });
  const session = (await response.json()) as { resumeToken: string; tunnel: { websocket: string; audio: string } };
  const bearer = `bearer.${Buffer.from(session.resumeToken).toString('base64url')}`;
  const connect = async (to: string, handshake: boolean): Promise<Send> => {
    const socket = new WebSocket(to, ['sallyport.v1', bearer], { ...tls, perMessageDeflate: false });
    sockets.push(socket);
    await opened(socket);
    return runTunnel(socket, credits, handshake);
  };
  const sendOnMain = await connect(session.tunnel.websocket, true);
  const sendAudio = split ? await connect(session.tunnel.audio, false) : sendOnMain;
  upload = (datagram, meta) => {
    (meta.lane === lane.audio ? sendAudio : sendOnMain)(datagram, meta);
  };
}

async function opened(ws: WebSocket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
}

/**
 * Resolves to what sends, when the edge has answered the handshake; a connection for audio has none, and credits at once.
 */
async function runTunnel(ws: WebSocket, credits: boolean, handshake: boolean): Promise<Send> {
  const now = performance.now();
  const flow = new TunnelFlow({ now, messageBytes: 16_384, onDrop: (meta) => source?.dropped(meta) });
  const flush = (): void => {
    const at = performance.now();
    for (let message = flow.nextMessage(at); message !== null; message = flow.nextMessage(at)) ws.send(message);
  };
  timers.push(
    setInterval(() => {
      if (flow.wantsToSend(performance.now())) flush();
    }, creditTickMs),
  );
  const welcomed = new Promise<void>((resolve) => {
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
  if (handshake) {
    const control = new ControlEndpoint({ role: 'client', now, capabilities: credits ? capability.credit : 0 });
    control.connected(now);
    const open = control.nextOutput(now);
    if (open !== null) flow.push(open, { ...transportMeta, lane: lane.control }, now);
    flush();
    await welcomed;
  } else {
    flow.agree();
  }
  return (datagram, meta) => {
    const at = performance.now();
    flow.push(datagram, meta, at);
    if (flow.wantsToSend(at)) flush();
  };
}
