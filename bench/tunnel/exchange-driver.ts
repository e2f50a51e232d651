/** A client of the HTTP rungs for benches: the exchanges of the protocol over Node's own HTTP/2 or HTTP/1.1, no more. */
import { randomBytes } from 'node:crypto';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { connect, type ClientHttp2Session } from 'node:http2';
import { Agent, request } from 'node:https';
import type { Writable } from 'node:stream';
import {
  ControlEndpoint,
  controlType,
  ExchangeClient,
  exchangeQuery,
  lane,
  SendQueue,
  transportMeta,
} from '../../tunnel-protocol/index.ts';
import type { ClientOutput, ExchangeCarrier, FrameSource, SendMeta } from '../../tunnel-protocol/index.ts';
import type { BenchSession } from './tunnel-client.ts';

export interface ExchangeTunnelOptions {
  readonly session: BenchSession;
  readonly carrier: ExchangeCarrier;
  readonly http2: boolean;
  /** A datagram of the edge, borrowed. */
  readonly onDatagram: (datagram: Uint8Array) => void;
}

type Output<T extends ClientOutput['type']> = Extract<ClientOutput, { type: T }>;

const controlMeta: SendMeta = { ...transportMeta, lane: lane.control };
const audioMeta: SendMeta = { ...transportMeta, lane: lane.audio };

export class ExchangeTunnel implements FrameSource {
  readonly #options: ExchangeTunnelOptions;
  readonly #client: ExchangeClient;
  readonly #control: ControlEndpoint;
  readonly #queue = new SendQueue({ onDrop: () => undefined });
  readonly #url: URL;
  readonly #session: ClientHttp2Session | null;
  readonly #agent: Agent | null;
  readonly #open = new Map<number, Writable & { destroy(): unknown }>();
  #timer: NodeJS.Timeout | null = null;
  #welcomed: () => void = () => undefined;
  #over = false;

  private constructor(options: ExchangeTunnelOptions) {
    const { session, carrier, http2 } = options;
    const now = performance.now();
    this.#options = options;
    this.#url = new URL(carrier === 'long-poll' ? session.tunnel.longPoll : session.tunnel.httpStream);
    this.#session = http2 ? connect(this.#url.origin, { rejectUnauthorized: false }) : null;
    this.#agent = http2 ? null : new Agent({ keepAlive: true, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
    this.#control = new ControlEndpoint({ role: 'client', now });
    this.#client = new ExchangeClient({
      carrier,
      connection: randomBytes(8).toString('hex'),
      generation: 1,
      now,
      source: this,
      deliver: this.#take,
      polls: http2 ? 2 : 1,
      posts: http2 ? 4 : 1,
      streamUpload: http2,
    });
  }

  /** Resolves when the session has welcomed the connection. */
  static async open(options: ExchangeTunnelOptions): Promise<ExchangeTunnel> {
    const tunnel = new ExchangeTunnel(options);
    await new Promise<void>((resolve, reject) => {
      tunnel.#welcomed = resolve;
      tunnel.#session?.once('error', reject);
      tunnel.#control.connected(performance.now());
      tunnel.#pumpControl();
    });
    return tunnel;
  }

  /** The bytes are given away. */
  send(datagram: Uint8Array): void {
    this.#queue.push(datagram, audioMeta, performance.now());
    this.#pump();
  }

  destroy(): void {
    this.#over = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const stream of this.#open.values()) stream.destroy();
    this.#session?.destroy();
    this.#agent?.destroy();
  }

  get waiting(): boolean {
    return !this.#queue.isEmpty;
  }

  take(room: number): Uint8Array | null {
    const next = this.#queue.peek();
    if (next === null || next.length > room) return null;
    this.#queue.shift();
    return next;
  }

  readonly #take = (frame: Uint8Array): void => {
    if ((frame[0] as number) < 0xf0) {
      this.#options.onDatagram(frame);
      return;
    }
    this.#control.handle(frame, performance.now());
    if (frame[0] === controlType.welcome) this.#welcomed();
    queueMicrotask(() => {
      this.#pumpControl();
    });
  };

  #pumpControl(): void {
    const now = performance.now();
    while (this.#control.nextEvent() !== null);
    for (let frame = this.#control.nextOutput(now); frame !== null; frame = this.#control.nextOutput(now)) {
      this.#queue.push(frame, controlMeta, now);
    }
    this.#pump();
  }

  readonly #pump = (): void => {
    if (this.#over) return;
    const event = this.#client.nextEvent();
    if (event !== null) throw new Error(`the tunnel of HTTP requests ended: ${event.type}`);
    const now = performance.now();
    for (let output = this.#client.nextOutput(now); output !== null; output = this.#client.nextOutput(now)) {
      this.#perform(output);
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    const due = Math.min(this.#client.nextTimeout() ?? Infinity, this.#control.nextTimeout() ?? Infinity);
    this.#timer = setTimeout(this.#onTimer, Math.max(0, Math.ceil(due - now)));
  };

  readonly #onTimer = (): void => {
    this.#timer = null;
    const now = performance.now();
    this.#client.handleTimeout(now);
    this.#control.handleTimeout(now);
    this.#pumpControl();
  };

  #perform(output: ClientOutput): void {
    if (output.type === 'request') this.#request(output);
    else if (output.type === 'abort') this.#open.get(output.exchange)?.destroy();
    else if (output.type === 'finish') this.#open.get(output.exchange)?.end();
    else this.#write(output);
  }

  #write({ exchange, bytes }: Output<'write'>): void {
    const stream = this.#open.get(exchange);
    if (stream === undefined || stream.write(bytes)) return;
    this.#client.blocked(exchange);
    stream.once('drain', () => {
      this.#client.drained(exchange);
      this.#pump();
    });
  }

  #request({ kind, header, body }: Output<'request'>): void {
    const method = kind === 'poll' || kind === 'download' ? 'GET' : 'POST';
    const path = `${this.#url.pathname}?${exchangeQuery(header)}`;
    const binary = 'application/octet-stream';
    const headers = {
      authorization: `Bearer ${this.#options.session.resumeToken}`,
      accept: binary,
      ...(method === 'POST' ? { 'content-type': binary } : {}),
    };
    const { exchange } = header;
    const stream =
      this.#session === null
        ? this.#requestOverHttp1(exchange, method, path, headers, body)
        : this.#requestOverHttp2(this.#session, exchange, method, path, headers);
    this.#open.set(exchange, stream);
    stream.on('error', () => {
      this.#settled(exchange, false);
    });
    if (kind !== 'upload') stream.end(body.length === 0 ? undefined : body);
  }

  #requestOverHttp2(
    session: ClientHttp2Session,
    exchange: number,
    method: string,
    path: string,
    headers: Record<string, string>,
  ): Writable {
    const stream = session.request({ ...headers, ':method': method, ':path': path }, { endStream: false });
    stream.once('response', ({ ':status': status }) => {
      if (status !== 200) throw new Error(`the edge answers ${String(status)}`);
    });
    stream.on('data', (chunk: Buffer) => {
      this.#received(exchange, chunk);
    });
    stream.once('end', () => {
      this.#settled(exchange, true);
    });
    return stream;
  }

  #requestOverHttp1(
    exchange: number,
    method: string,
    path: string,
    headers: Record<string, string>,
    body: Uint8Array,
  ): ClientRequest {
    const { hostname, port } = this.#url;
    const length = method === 'POST' ? { 'content-length': String(body.length) } : {};
    const target = { agent: this.#agent ?? undefined, host: hostname, port, method, path };
    return request({ ...target, headers: { ...headers, ...length } }, (response: IncomingMessage) => {
      if (response.statusCode !== 200) throw new Error(`the edge answers ${String(response.statusCode)}`);
      response.on('data', (chunk: Buffer) => {
        this.#received(exchange, chunk);
      });
      response.once('end', () => {
        this.#settled(exchange, true);
      });
    });
  }

  #received(exchange: number, chunk: Uint8Array): void {
    if (this.#over) return;
    this.#client.received(exchange, chunk, performance.now());
    this.#pump();
  }

  #settled(exchange: number, isComplete: boolean): void {
    if (!this.#open.delete(exchange) || this.#over) return;
    if (isComplete) this.#client.ended(exchange, performance.now());
    else this.#client.failed(exchange, performance.now());
    this.#pump();
  }
}
