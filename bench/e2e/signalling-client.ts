/** A participant that has nothing but its signalling, for stacks of other makers to bring their media: session, tunnel, requests. */
import { Agent, fetch } from 'undici';
import { WebSocket } from 'ws';
import { ControlEndpoint, encodeFrame, forEachFrame } from '../../tunnel-protocol/index.ts';
import type { SignalEvent, SignalReplyBody } from '../../tunnel-protocol/index.ts';

export interface IceServerEntry {
  readonly urls: readonly string[];
  readonly username: string;
  readonly credential: string;
}

interface SessionAnswer {
  readonly resumeToken: string;
  readonly iceServers: readonly IceServerEntry[];
  readonly tunnel: { readonly websocket: string };
}

type Reply = Extract<SignalEvent, { type: 'reply' }>;

const pumpMs = 100;
/** Any certificate will do; the edge takes TLS that names HTTP/1.1, as every browser's WebSocket does, to its faster engine. */
const asBrowser = { rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] };

export class SignallingClient {
  /** As the edge gave them. */
  readonly iceServers: readonly IceServerEntry[];
  readonly #socket: WebSocket;
  readonly #endpoint = new ControlEndpoint({ role: 'client', now: performance.now() });
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  readonly #timer: NodeJS.Timeout;
  #nextId = 1;

  /** Accepts any certificate. `token`: of a participant who may do more than others. */
  static async open(edgeUrl: string, room: string, name: string, token?: string): Promise<SignallingClient> {
    const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
    const response = await fetch(new URL('/v1/sessions', edgeUrl), {
      method: 'POST',
      dispatcher,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ room, name, token, client: { kind: 'node', version: '0' } }),
    });
    const session = (await response.json()) as SessionAnswer;
    await dispatcher.close();
    if (!response.ok) throw new Error(`the edge answered ${String(response.status)}: ${JSON.stringify(session)}`);
    return new SignallingClient(session);
  }

  private constructor({ resumeToken, iceServers, tunnel }: SessionAnswer) {
    this.iceServers = iceServers;
    const bearer = `bearer.${Buffer.from(resumeToken).toString('base64url')}`;
    this.#socket = new WebSocket(tunnel.websocket, ['sallyport.v1', bearer], asBrowser);
    this.#socket.binaryType = 'nodebuffer';
    this.#socket.on('open', () => {
      this.#endpoint.connected(performance.now());
      this.#pump();
    });
    this.#socket.on('message', (message) => {
      forEachFrame(message as Buffer, (frame) => void this.#endpoint.handle(frame, performance.now()));
      this.#pump();
    });
    this.#timer = setInterval(() => {
      this.#endpoint.handleTimeout(performance.now());
      this.#pump();
    }, pumpMs);
  }

  /** Rejects when the server refuses. */
  async request(body: { readonly type: string } & Readonly<Record<string, unknown>>): Promise<SignalReplyBody> {
    const id = this.#nextId++;
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#endpoint.send(JSON.stringify({ ...body, id }), performance.now());
      this.#pump();
    });
    if (!reply.ok) throw new Error(`${body.type}: ${reply.error.code}: ${reply.error.message}`);
    return reply.body;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #pump(): void {
    for (let event = this.#endpoint.nextEvent(); event !== null; event = this.#endpoint.nextEvent()) {
      if (event.type !== 'message') continue;
      const notice = JSON.parse(event.text) as SignalEvent;
      if (notice.type !== 'reply') continue;
      this.#waiting.get(notice.id)?.(notice);
      this.#waiting.delete(notice.id);
    }
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    const now = performance.now();
    for (let frame = this.#endpoint.nextOutput(now); frame !== null; frame = this.#endpoint.nextOutput(now)) {
      this.#socket.send(encodeFrame(frame));
    }
  }
}
