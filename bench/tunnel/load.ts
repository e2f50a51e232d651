/** Clients of the tunnel: many WebSocket sessions in one process, as plain and cheap as they can be. */
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

/** The edge of a bench has a certificate of its own making. */
const tls = { rejectUnauthorized: false };
const dispatcher = new Agent({ connect: tls });
const tunnels: Tunnel[] = [];
const audioMeta: SendMeta = { ...transportMeta, lane: lane.audio, deadlineMs: 200 };
let receivedBytes = 0;
let receivedDatagrams = 0;
let dropped = 0;

export interface TunnelLoadReading {
  readonly receivedBytes: number;
  readonly receivedDatagrams: number;
}

serveCommands({
  async connect({ url, sessions, credits }: { url: string; sessions: number; credits: boolean }): Promise<void> {
    for (let i = 0; i < sessions; i++) tunnels.push(await openTunnel(url, credits));
    setInterval(() => {
      for (const tunnel of tunnels) tunnel.flush();
    }, creditTickMs).unref();
  },
  /** Sends one message of `count` datagrams per session and interval, for the given time. */
  async send({
    bytes,
    count,
    intervalMs,
    durationMs,
  }: Record<'bytes' | 'count' | 'intervalMs' | 'durationMs', number>) {
    const datagram = new Uint8Array(bytes).fill(0x80);
    const rounds = Math.round(durationMs / intervalMs);
    const start = performance.now();
    dropped = 0;
    for (let round = 0; round < rounds; round++) {
      // The sessions of a real edge are not in step: spread them over the interval.
      for (const [index, tunnel] of tunnels.entries()) {
        if (index % 10 === 0) await until(start + (round + index / tunnels.length) * intervalMs);
        tunnel.send(datagram, count);
      }
    }
    await drained();
    return rounds * tunnels.length * count - dropped;
  },
  reset(): void {
    receivedBytes = 0;
    receivedDatagrams = 0;
  },
  received(): TunnelLoadReading {
    return { receivedBytes, receivedDatagrams };
  },
  close(): void {
    for (const { socket } of tunnels) socket.terminate();
    tunnels.length = 0;
  },
});

class Tunnel {
  readonly socket: WebSocket;
  readonly flow = new TunnelFlow({ now: performance.now(), messageBytes: 16_384, onDrop: () => dropped++ });
  readonly #credits: boolean;
  #bytes = 0;

  constructor(socket: WebSocket, credits: boolean) {
    this.socket = socket;
    this.#credits = credits;
    socket.on('message', (data: Buffer) => {
      this.#bytes = data.length;
      forEachFrame(data, this.#take);
      this.flow.received(this.#bytes, performance.now());
      this.flush();
    });
  }

  begin(): void {
    const now = performance.now();
    const capabilities = this.#credits ? capability.credit : 0;
    const control = new ControlEndpoint({ role: 'client', now, capabilities });
    control.connected(now);
    const open = control.nextOutput(now);
    if (open !== null) this.flow.push(open, { ...transportMeta, lane: lane.control }, now);
    this.flush();
  }

  send(datagram: Uint8Array, count: number): void {
    const now = performance.now();
    for (let i = 0; i < count; i++) this.flow.push(datagram, audioMeta, now);
    this.flush();
  }

  flush(): void {
    const now = performance.now();
    if (!this.flow.wantsToSend(now)) return;
    for (let message = this.flow.nextMessage(now); message !== null; message = this.flow.nextMessage(now)) {
      this.socket.send(message);
    }
  }

  readonly #take = (frame: Uint8Array): void => {
    if (frame[0] === controlType.credit) {
      const bytes = frameHeaderBytes + frame.length;
      this.#bytes -= bytes;
      receivedBytes += bytes;
      if (!this.flow.credit(frame, performance.now())) throw new Error('the edge credits what was never sent');
    } else if (frame[0] === controlType.welcome) {
      if (this.#credits) this.flow.agree();
    } else {
      receivedBytes += frameHeaderBytes + frame.length;
      receivedDatagrams++;
    }
  };
}

const creditTickMs = 50;

async function openTunnel(url: string, credits: boolean): Promise<Tunnel> {
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
    // As browsers do; without, the edge finds out only after the handshake that it is HTTP.
    ...{ ALPNProtocols: ['http/1.1'] },
    perMessageDeflate: false,
  });
  const tunnel = new Tunnel(socket, credits);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  tunnel.begin();
  return tunnel;
}

async function until(moment: number): Promise<void> {
  const wait = moment - performance.now();
  await (wait > 1 ? new Promise((resolve) => setTimeout(resolve, wait)) : new Promise(setImmediate));
}

async function drained(): Promise<void> {
  while (tunnels.some(({ socket, flow }) => socket.bufferedAmount > 0 || !flow.isEmpty))
    await until(performance.now() + 5);
}
