/** Clients of the tunnel: many WebSocket sessions in one process, as plain and cheap as they can be. */
import { Agent, fetch } from 'undici';
import WebSocket from 'ws';
import { ControlEndpoint, encodeFrame, forEachFrame, FrameBatch } from '../../tunnel-protocol/index.ts';
import { serveCommands } from '../harness/worker-process.ts';

/** The edge of a bench has a certificate of its own making. */
const tls = { rejectUnauthorized: false };
const dispatcher = new Agent({ connect: tls });
const sockets: WebSocket[] = [];
let receivedBytes = 0;
let receivedDatagrams = 0;

export interface TunnelLoadReading {
  readonly receivedBytes: number;
  readonly receivedDatagrams: number;
}

serveCommands({
  async connect({ url, sessions }: { url: string; sessions: number }): Promise<void> {
    for (let i = 0; i < sessions; i++) sockets.push(await openTunnel(url));
  },
  /** Sends one message of `count` datagrams per session and interval, for the given time. */
  async send({
    bytes,
    count,
    intervalMs,
    durationMs,
  }: Record<'bytes' | 'count' | 'intervalMs' | 'durationMs', number>) {
    const batch = new FrameBatch();
    const datagram = new Uint8Array(bytes).fill(0x80);
    for (let i = 0; i < count; i++) batch.add(datagram);
    const message = batch.take() ?? new Uint8Array(0);
    const rounds = Math.round(durationMs / intervalMs);
    const start = performance.now();
    for (let round = 0; round < rounds; round++) {
      // The sessions of a real edge are not in step: spread them over the interval.
      for (const [index, socket] of sockets.entries()) {
        if (index % 10 === 0) await until(start + (round + index / sockets.length) * intervalMs);
        socket.send(message);
      }
    }
    await drained();
    return rounds * sockets.length * count;
  },
  reset(): void {
    receivedBytes = 0;
    receivedDatagrams = 0;
  },
  received(): TunnelLoadReading {
    return { receivedBytes, receivedDatagrams };
  },
  close(): void {
    for (const socket of sockets) socket.terminate();
    sockets.length = 0;
  },
});

async function openTunnel(url: string): Promise<WebSocket> {
  const response = await fetch(`${url}/v1/sessions`, {
    dispatcher,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ room: 'bench', client: { kind: 'bench', version: '1' } }),
  });
  if (!response.ok) throw new Error(`session refused: ${String(response.status)} ${await response.text()}`);
  const session = (await response.json()) as { resumeToken: string; tunnel: { websocket: string } };
  const bearer = `bearer.${Buffer.from(session.resumeToken).toString('base64url')}`;
  const socket = new WebSocket(session.tunnel.websocket, ['sallyport.v1', bearer], {
    ...tls,
    perMessageDeflate: false,
  });
  socket.on('message', (data: Buffer) => {
    receivedBytes += data.length;
    forEachFrame(data, countDatagram);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const control = new ControlEndpoint({ role: 'client', now: 0 });
  control.connected(0);
  const open = control.nextOutput(0);
  if (open !== null) socket.send(encodeFrame(open));
  return socket;
}

function countDatagram(): void {
  receivedDatagrams++;
}

async function until(moment: number): Promise<void> {
  const wait = moment - performance.now();
  await (wait > 1 ? new Promise((resolve) => setTimeout(resolve, wait)) : new Promise(setImmediate));
}

async function drained(): Promise<void> {
  while (sockets.some((socket) => socket.bufferedAmount > 0)) await until(performance.now() + 5);
}
