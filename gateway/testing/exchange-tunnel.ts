/** A client of the HTTP tunnels over Node's own HTTP clients, with a real control endpoint above it. */
import { randomBytes } from 'node:crypto';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { Agent, request as requestHttp1 } from 'node:https';
import type { Readable, Writable } from 'node:stream';
import {
  ControlEndpoint,
  decodeTextBody,
  encodeTextBody,
  ExchangeClient,
  exchangeQuery,
  type ClientOutput,
  type ControlEvent,
  type ExchangeClientOptions,
  type FrameSource,
} from '../../tunnel-protocol/index.ts';

export interface ExchangeTunnelOptions extends Pick<
  ExchangeClientOptions,
  'carrier' | 'polls' | 'posts' | 'streamUpload'
> {
  readonly port: number;
  readonly resumeToken: string;
  readonly h2?: boolean;
  /** `base64`: all bodies are text; `simple`: they are, and the token is in them. */
  readonly text?: 'base64' | 'simple';
  readonly generation?: number;
  /** The session's endpoint, when it had connections before. */
  readonly endpoint?: ControlEndpoint;
}

interface Ongoing {
  readonly up: Writable;
  readonly abort: () => void;
}

class Fifo implements FrameSource {
  readonly frames: Uint8Array[] = [];

  get waiting(): boolean {
    return this.frames.length > 0;
  }

  take(room: number): Uint8Array | null {
    const [frame] = this.frames;
    if (frame === undefined || frame.length > room) return null;
    this.frames.shift();
    return frame;
  }
}

export class ExchangeTunnel {
  readonly endpoint: ControlEndpoint;
  readonly client: ExchangeClient;
  readonly datagrams: Uint8Array[] = [];
  /** HTTP statuses other than 200, and errors. */
  readonly failures: string[] = [];
  requests = 0;
  readonly #options: ExchangeTunnelOptions;
  readonly #source = new Fifo();
  readonly #agent = new Agent({ keepAlive: true, rejectUnauthorized: false });
  readonly #session: ClientHttp2Session | null;
  readonly #ongoing = new Map<number, Ongoing>();
  readonly #seen: (
    ControlEvent | { readonly type: 'closed'; readonly wire: number } | { readonly type: 'buffered' }
  )[] = [];
  #released = false;
  #destroyed = false;
  #wake: () => void = () => undefined;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ExchangeTunnelOptions) {
    this.#options = options;
    this.endpoint = options.endpoint ?? new ControlEndpoint({ role: 'client', now: performance.now() });
    const { carrier, polls, posts, streamUpload, generation = 1 } = options;
    this.client = new ExchangeClient({
      carrier,
      ...(polls === undefined ? {} : { polls }),
      ...(posts === undefined ? {} : { posts }),
      ...(streamUpload === undefined ? {} : { streamUpload }),
      connection: randomBytes(8).toString('hex'),
      generation,
      now: performance.now(),
      source: this.#source,
      deliver: (frame) => {
        if ((frame[0] as number) < 0xf0) this.datagrams.push(frame.slice());
        else if (!this.#released) this.endpoint.handle(frame, performance.now());
      },
    });
    this.#session =
      options.h2 === true
        ? connectHttp2(`https://127.0.0.1:${String(options.port)}`, { rejectUnauthorized: false })
        : null;
    this.#session?.on('error', (error: Error) => this.failures.push(error.message));
    this.endpoint.connected(performance.now());
    this.pump();
  }

  sendText(text: string): void {
    this.endpoint.send(text, performance.now());
    this.pump();
  }

  sendDatagram(datagram: Uint8Array): void {
    this.#source.frames.push(datagram);
    this.pump();
  }

  /** The next event of this type, of those that came and were not asked for yet. */
  async event<T extends string>(type: T): Promise<Extract<(typeof this.seen)[number], { type: T }>> {
    for (;;) {
      const index = this.#seen.findIndex((event) => event.type === type);
      if (index >= 0) return this.#seen.splice(index, 1)[0] as Extract<(typeof this.seen)[number], { type: T }>;
      await this.changed();
    }
  }

  get seen(): readonly (
    ControlEvent | { readonly type: 'closed'; readonly wire: number } | { readonly type: 'buffered' }
  )[] {
    return this.#seen;
  }

  /** Something came, or was done. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#wake;
      this.#wake = () => {
        before();
        resolve();
      };
    });
  }

  /** The session goes on elsewhere; what this connection still brings is ignored. */
  release(): ControlEndpoint {
    this.#released = true;
    this.endpoint.disconnected(performance.now());
    return this.endpoint;
  }

  /** Breaks every request that is on its way, as a network does. */
  breakAll(): void {
    for (const { abort } of [...this.#ongoing.values()]) abort();
  }

  /** Leaves without a word. */
  destroy(): void {
    this.#destroyed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#ongoing.forEach(({ abort }) => {
      abort();
    });
    this.#agent.destroy();
    this.#session?.destroy();
  }

  pump(): void {
    if (this.#destroyed) return;
    const now = performance.now();
    if (!this.#released) this.#pumpEndpoint(now);
    for (let event = this.client.nextEvent(); event !== null; event = this.client.nextEvent()) this.#seen.push(event);
    for (let output = this.client.nextOutput(now); output !== null; output = this.client.nextOutput(now)) {
      this.#perform(output);
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    const at = Math.min(
      this.client.nextTimeout() ?? Infinity,
      (this.#released ? null : this.endpoint.nextTimeout()) ?? Infinity,
    );
    if (at !== Infinity) {
      this.#timer = setTimeout(
        () => {
          const then = performance.now();
          this.client.handleTimeout(then);
          if (!this.#released) this.endpoint.handleTimeout(then);
          this.pump();
        },
        Math.max(0, Math.ceil(at - now)),
      ).unref();
    }
    const wake = this.#wake;
    this.#wake = () => undefined;
    wake();
  }

  #pumpEndpoint(now: number): void {
    const { endpoint } = this;
    for (let event = endpoint.nextEvent(); event !== null; event = endpoint.nextEvent()) this.#seen.push(event);
    for (let frame = endpoint.nextOutput(now); frame !== null; frame = endpoint.nextOutput(now)) {
      this.#source.frames.push(frame);
    }
  }

  #perform(output: ClientOutput): void {
    if (output.type === 'request') {
      this.requests++;
      this.#request(output);
      return;
    }
    const ongoing = this.#ongoing.get(output.exchange);
    if (ongoing === undefined) return;
    if (output.type === 'abort') ongoing.abort();
    else if (output.type === 'finish') ongoing.up.end();
    else if (!ongoing.up.write(output.bytes)) {
      this.client.blocked(output.exchange);
      ongoing.up.once('drain', () => {
        this.client.drained(output.exchange);
        this.pump();
      });
    }
  }

  #request({ kind, header, body }: ClientOutput & { type: 'request' }): void {
    const { carrier, resumeToken, text } = this.#options;
    const { exchange } = header;
    const isSimple = text === 'simple';
    const method = isSimple || kind === 'post' || kind === 'upload' ? 'POST' : 'GET';
    const path = `/tunnel/v1/${carrier === 'long-poll' ? 'poll' : 'stream'}?${exchangeQuery(header)}`;
    const headers: Record<string, string> = isSimple ? {} : { authorization: `Bearer ${resumeToken}` };
    if (text !== undefined) headers['accept'] = 'text/plain';
    if (method === 'POST') headers['content-type'] = text === undefined ? 'application/octet-stream' : 'text/plain';
    const bytes = text === undefined ? body : encodeTextBody(isSimple ? resumeToken : null, body);
    if (method === 'POST' && kind !== 'upload') headers['content-length'] = String(bytes.length);
    const call =
      this.#session === null ? this.#overHttp1(method, path, headers) : this.#overHttp2(method, path, headers);
    this.#ongoing.set(exchange, call);
    const chunks: Buffer[] = [];
    let isGood = false;
    const done = (act: () => void): void => {
      if (!this.#ongoing.delete(exchange)) return;
      act();
      this.pump();
    };
    call.onStatus = (status) => {
      isGood = status === 200;
      if (!isGood) this.failures.push(`${method} ${String(status)}`);
    };
    call.onData = (chunk) => {
      if (!isGood) return;
      if (text !== undefined) chunks.push(chunk);
      else {
        this.client.received(exchange, chunk, performance.now());
        this.pump();
      }
    };
    call.onEnd = () => {
      done(() => {
        const whole = text === undefined ? null : decodeTextBody(Buffer.concat(chunks));
        if (whole !== null) this.client.received(exchange, whole.body, performance.now());
        if (isGood) this.client.ended(exchange, performance.now());
        else this.client.failed(exchange, performance.now());
      });
    };
    call.onError = () => {
      done(() => {
        this.client.failed(exchange, performance.now());
      });
    };
    if (method === 'GET') call.up.end();
    else if (kind !== 'upload') call.up.end(bytes);
  }

  #overHttp1(method: string, path: string, headers: Record<string, string>): Call {
    const outgoing = requestHttp1({
      host: '127.0.0.1',
      port: this.#options.port,
      agent: this.#agent,
      method,
      path,
      headers,
      ...{ ALPNProtocols: ['http/1.1'] },
    });
    const call = new Call(outgoing, () => outgoing.destroy());
    outgoing.on('response', (response) => {
      call.onStatus(response.statusCode ?? 0);
      call.read(response);
    });
    outgoing.on('close', () => {
      call.onError();
    });
    outgoing.flushHeaders();
    return call;
  }

  #overHttp2(method: string, path: string, headers: Record<string, string>): Call {
    const session = this.#session as ClientHttp2Session;
    const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: false });
    const call = new Call(stream, () => {
      stream.close(8);
    });
    stream.on('response', (head) => {
      call.onStatus(Number(head[':status']));
    });
    call.read(stream);
    stream.on('close', () => {
      call.onError();
    });
    return call;
  }
}

class Call implements Ongoing {
  readonly up: Writable;
  readonly abort: () => void;
  onStatus: (status: number) => void = () => undefined;
  onData: (chunk: Buffer) => void = () => undefined;
  onEnd: () => void = () => undefined;
  onError: () => void = () => undefined;

  constructor(up: Writable, abort: () => void) {
    this.up = up;
    this.abort = abort;
    up.on('error', () => undefined);
  }

  read(response: Readable): void {
    response.on('data', (chunk: Buffer) => {
      this.onData(chunk);
    });
    response.on('end', () => {
      this.onEnd();
    });
    response.on('error', () => undefined);
    response.on('close', () => {
      this.onError();
    });
  }
}
