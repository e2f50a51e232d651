/** A client of the websocket rung for benches: a real session, the control handshake, credits, and nothing else. */
import { Agent, fetch } from 'undici';
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
import { BareWebSocket, headerRoom } from './bare-websocket.ts';

/** What `POST /v1/sessions` tells. */
export interface BenchSession {
  readonly resumeToken: string;
  readonly tunnel: { readonly websocket: string; readonly httpStream: string; readonly longPoll: string };
}

export interface TunnelClientOptions {
  readonly url: string;
  readonly room?: string;
  /** Speaks credits; default true. */
  readonly credits?: boolean;
  readonly localAddress?: string;
  /** A datagram of the edge, borrowed. */
  readonly onDatagram?: (datagram: Uint8Array) => void;
  /** A signalling message of the edge. */
  readonly onMessage?: (text: string) => void;
}

const messageBytes = 16_384;
const controlMeta: SendMeta = { ...transportMeta, lane: lane.control };
const audioMeta: SendMeta = { ...transportMeta, lane: lane.audio, deadlineMs: 200 };
let agent: Agent | null = null;

/** Asks the edge for a session. Throws when it refuses. */
export async function openBenchSession(url: string, room = 'bench'): Promise<BenchSession> {
  // The edge of a bench has a certificate of its own making.
  agent ??= new Agent({ connect: { rejectUnauthorized: false }, connections: 8 });
  const response = await fetch(`${url}/v1/sessions`, {
    dispatcher: agent,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ room, client: { kind: 'bench', version: '1' } }),
  });
  if (!response.ok) throw new Error(`session refused: ${String(response.status)} ${await response.text()}`);
  return (await response.json()) as BenchSession;
}

export class TunnelClient {
  readonly webSocket: BareWebSocket;
  readonly control: ControlEndpoint;
  /** Of frames but credits, lengths included. */
  receivedBytes = 0;
  receivedDatagrams = 0;
  droppedDatagrams = 0;
  readonly #flow: TunnelFlow;
  readonly #credits: boolean;
  readonly #onDatagram: ((datagram: Uint8Array) => void) | null;
  readonly #onMessage: ((text: string) => void) | null;
  #creditable = 0;
  #welcomed: () => void = () => undefined;

  private constructor(webSocket: BareWebSocket, { credits = true, onDatagram, onMessage }: TunnelClientOptions) {
    const now = performance.now();
    this.webSocket = webSocket;
    this.#credits = credits;
    this.#onDatagram = onDatagram ?? null;
    this.#onMessage = onMessage ?? null;
    this.#flow = new TunnelFlow({ now, messageBytes, onDrop: () => this.droppedDatagrams++ });
    this.control = new ControlEndpoint({ role: 'client', now, capabilities: credits ? capability.credit : 0 });
    webSocket.onMessage = this.#takeMessage;
  }

  /** Resolves when the session has welcomed the connection. */
  static async open(options: TunnelClientOptions): Promise<TunnelClient> {
    const { url, room, localAddress } = options;
    const session = await openBenchSession(url, room);
    const bearer = `bearer.${Buffer.from(session.resumeToken).toString('base64url')}`;
    const webSocket = await BareWebSocket.open({
      url: session.tunnel.websocket,
      subprotocols: ['sallyport.v1', bearer],
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    const client = new TunnelClient(webSocket, options);
    await client.#shakeHands();
    return client;
  }

  get isDrained(): boolean {
    return this.webSocket.bufferedBytes === 0 && this.#flow.isEmpty;
  }

  /** Sends the same datagram so many times, in one message as far as the window goes. */
  send(datagram: Uint8Array, count: number): void {
    const now = performance.now();
    for (let i = 0; i < count; i++) this.#flow.push(datagram, audioMeta, now);
    this.#write(now);
  }

  /** Sends what is due: control frames, pings among them, and credits. Call it now and then. */
  tick(): void {
    const now = performance.now();
    const due = this.control.nextTimeout();
    if (due !== null && due <= now) this.control.handleTimeout(now);
    this.#pumpControl(now);
    if (this.#flow.wantsToSend(now)) this.#write(now);
  }

  /** Sends a signalling request at once. */
  request(text: string): void {
    const now = performance.now();
    if (!this.control.send(text, now)) throw new Error('the edge acknowledges nothing');
    this.#pumpControl(now);
    this.#write(now);
  }

  destroy(): void {
    this.webSocket.destroy();
  }

  #shakeHands(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#welcomed = resolve;
      this.webSocket.onClose = () => {
        reject(new Error('the edge closed the tunnel'));
      };
      const now = performance.now();
      this.control.connected(now);
      this.#pumpControl(now);
      this.#write(now);
    });
  }

  #pumpControl(now: number): void {
    for (let event = this.control.nextEvent(); event !== null; event = this.control.nextEvent()) {
      if (event.type === 'message') this.#onMessage?.(event.text);
    }
    for (let frame = this.control.nextOutput(now); frame !== null; frame = this.control.nextOutput(now)) {
      this.#flow.push(frame, controlMeta, now);
    }
  }

  #write(now: number): void {
    for (let message = this.#flow.nextMessage(now); message !== null; message = this.#flow.nextMessage(now)) {
      const memory = new Uint8Array(headerRoom + message.length);
      memory.set(message, headerRoom);
      this.webSocket.send(memory, memory.length);
    }
  }

  readonly #takeMessage = (message: Uint8Array): void => {
    this.#creditable = message.length;
    forEachFrame(message, this.#takeFrame);
    const now = performance.now();
    this.#flow.received(this.#creditable, now);
    if (this.#flow.wantsToSend(now)) this.#write(now);
  };

  readonly #takeFrame = (frame: Uint8Array): void => {
    const first = frame[0] as number;
    if (first === controlType.credit) {
      this.#creditable -= frameHeaderBytes + frame.length;
      if (!this.#flow.credit(frame, performance.now())) throw new Error('the edge credits what was never sent');
      return;
    }
    this.receivedBytes += frameHeaderBytes + frame.length;
    if (first < 0xf0) {
      this.receivedDatagrams++;
      this.#onDatagram?.(frame);
      return;
    }
    this.#takeControl(frame);
  };

  #takeControl(frame: Uint8Array): void {
    const now = performance.now();
    const error = this.control.handle(frame, now);
    if (error !== null) throw new Error(`the edge broke the protocol: ${error.reason}`);
    if (frame[0] === controlType.welcome) {
      if (this.#credits) this.#flow.agree();
      this.#welcomed();
    }
    this.#pumpControl(now);
    if (this.#flow.wantsToSend(now)) this.#write(now);
  }
}
