/** A client's control channel, on a tunnel path in memory: the real endpoint of both ends, and nothing between them. */
import {
  classifyDatagram,
  ControlEndpoint,
  datagramClass,
  decodeSignalEvent,
  SignalDecodeError,
} from '../../tunnel-protocol/index.ts';
import type {
  ControlEvent,
  Path,
  SendMeta,
  SignalEvent,
  SignalReplyBody,
  SignalRequest,
} from '../../tunnel-protocol/index.ts';
import type { Sfu } from '../sfu.ts';

type WithoutId<T> = T extends { readonly id: number } ? Omit<T, 'id'> : never;
type Reply = Extract<SignalEvent, { type: 'reply' }>;

export interface ClosedTunnel {
  readonly path: Path;
  readonly code: number;
}

export class TunnelClient {
  readonly endpoint: ControlEndpoint;
  readonly events: SignalEvent[] = [];
  readonly controlEvents: ControlEvent[] = [];
  /** Datagrams that are not control frames. */
  onDatagram: ((datagram: Uint8Array, meta: SendMeta, path: Path) => void) | null = null;
  onEvent: ((event: SignalEvent) => void) | null = null;
  /** The tunnel path of the connection now; the SFU's side of it. */
  path: Path | null = null;
  /** The last one that the SFU closed. */
  closed: ClosedTunnel | null = null;
  readonly #sfu: Sfu;
  readonly #now: () => number;
  readonly #replies = new Map<number, (reply: Reply) => void>();
  #nextId = 1;

  constructor(sfu: Sfu, now: () => number) {
    this.#sfu = sfu;
    this.#now = now;
    this.endpoint = new ControlEndpoint({ role: 'client', now: now() });
  }

  /** Opens a connection of this session. */
  connect(sessionId: string): Path {
    const path: Path = {
      kind: 'websocket',
      reliable: true,
      ordered: true,
      mtu: 2048,
      remote: { address: '127.0.0.1', port: 1 },
      owner: null,
      send: (datagram, meta) => {
        if (this.path !== path) return false;
        this.#receive(datagram, meta, path);
        return true;
      },
      bind: () => undefined,
      unbind: () => undefined,
      close: (code) => {
        this.closed = { path, code };
        if (this.path !== path) return;
        this.path = null;
        this.endpoint.disconnected(this.#now());
        this.#sfu.detach(path);
      },
    };
    this.path = path;
    this.endpoint.connected(this.#now());
    this.#sfu.attach(sessionId, path);
    this.flush();
    return path;
  }

  /** The connection breaks. */
  disconnect(): void {
    const path = this.path;
    if (path === null) return;
    this.path = null;
    this.endpoint.disconnected(this.#now());
    this.#sfu.detach(path);
  }

  request(request: WithoutId<SignalRequest>): Promise<Reply> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#replies.set(id, resolve);
      this.sendText(JSON.stringify({ ...request, id }));
    });
  }

  /** The body of a good reply; rejects with the code of a bad one. */
  async must<T extends SignalReplyBody['of']>(
    request: WithoutId<SignalRequest> & { readonly type: T },
  ): Promise<Extract<SignalReplyBody, { of: T }>> {
    const reply = await this.request(request);
    if (!reply.ok) throw new Error(`${reply.error.code}: ${reply.error.message}`);
    return reply.body as Extract<SignalReplyBody, { of: T }>;
  }

  sendText(text: string): void {
    this.endpoint.send(text, this.#now());
    this.flush();
  }

  /** Any bytes, as if they came on this connection. */
  sendDatagram(datagram: Uint8Array): void {
    if (this.path !== null) this.#sfu.receive(this.path, datagram);
  }

  flush(): void {
    for (let frame = this.#next(); frame !== null; frame = this.#next()) this.sendDatagram(frame);
  }

  /** Resolves with the next event, or one that came already, that satisfies `wanted`. */
  async event<T extends SignalEvent['type']>(
    type: T,
    wanted: (event: Extract<SignalEvent, { type: T }>) => boolean = () => true,
  ): Promise<Extract<SignalEvent, { type: T }>> {
    const fits = (event: SignalEvent): event is Extract<SignalEvent, { type: T }> =>
      event.type === type && wanted(event as Extract<SignalEvent, { type: T }>);
    for (;;) {
      const found = this.events.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.onEvent = () => {
          resolve();
        };
      });
    }
  }

  #next(): Uint8Array | null {
    return this.path === null ? null : this.endpoint.nextOutput(this.#now());
  }

  #receive(datagram: Uint8Array, meta: SendMeta, path: Path): void {
    if (classifyDatagram(datagram) !== datagramClass.control) {
      this.onDatagram?.(datagram, meta, path);
      return;
    }
    const error = this.endpoint.handle(datagram, this.#now());
    if (error !== null) throw new Error(`the SFU broke the control protocol: ${error.reason}`);
    for (let event = this.endpoint.nextEvent(); event !== null; event = this.endpoint.nextEvent()) {
      if (event.type === 'message') this.#message(event.text);
      else this.controlEvents.push(event);
    }
    // Not from within the SFU's own call, as on a real connection.
    queueMicrotask(() => {
      this.flush();
    });
  }

  #message(text: string): void {
    const event = decodeSignalEvent(text);
    if (event instanceof SignalDecodeError) throw new Error(`the SFU sent what nobody can read: ${event.message}`);
    if (event.type === 'reply') {
      this.#replies.get(event.id)?.(event);
      this.#replies.delete(event.id);
      return;
    }
    this.events.push(event);
    this.onEvent?.(event);
  }
}
