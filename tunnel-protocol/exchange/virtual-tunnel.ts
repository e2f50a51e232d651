/** A session over a {@link VirtualNetwork}: two real control endpoints, and connections that come and go. For tests. */
import { classifyDatagram, datagramClass } from '../classify.ts';
import { closeCodes } from '../control/close-codes.ts';
import { ControlEndpoint } from '../control/control-endpoint.ts';
import { ConnectionBook } from './connection-book.ts';
import { ExchangeClient } from './exchange-client.ts';
import type { ExchangeClientOptions } from './client-types.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import { ExchangeServer } from './exchange-server.ts';
import type { ExchangeCarrier } from './exchange-server.ts';
import type { FrameSource } from './frame-source.ts';
import type { Arrival } from './virtual-network.ts';
import { seededRandom, VirtualNetwork } from './virtual-network.ts';

/** What went in at one end of a connection, and what came out at the other: a key for each control frame. */
export interface Direction {
  readonly sent: number[];
  readonly delivered: number[];
}

export class Fifo implements FrameSource {
  readonly frames: Uint8Array[] = [];
  readonly sent: number[];

  constructor(sent: number[]) {
    this.sent = sent;
  }

  get waiting(): boolean {
    return this.frames.length > 0;
  }

  take(room: number): Uint8Array | null {
    const [frame] = this.frames;
    if (frame === undefined || frame.length > room) return null;
    this.frames.shift();
    if (isControl(frame)) this.sent.push(key(frame));
    return frame;
  }
}

export interface Connection {
  readonly id: string;
  readonly client: ExchangeClient;
  readonly clientSource: Fifo;
  server: ExchangeServer<Arrival> | null;
  serverSource: Fifo;
  readonly up: Direction;
  readonly down: Direction;
}

export interface TunnelEnd {
  readonly endpoint: ControlEndpoint;
  readonly texts: string[];
  readonly datagrams: Uint8Array[];
  readonly errors: string[];
}

export type TunnelOptions = Pick<ExchangeClientOptions, 'carrier' | 'polls' | 'posts' | 'streamUpload'> & {
  /** Endpoints that never take silence for a loss: then the carrier alone has to see to what is missing. */
  readonly patient?: boolean;
};

const lingerMs = 15_000;

export class VirtualTunnel {
  readonly network: VirtualNetwork;
  readonly client: TunnelEnd;
  readonly server: TunnelEnd;
  readonly connections: Connection[] = [];
  readonly events: string[] = [];
  readonly #random: () => number;
  readonly #options: TunnelOptions;
  readonly #book = new ConnectionBook<Connection>();
  /** The connection that each end believes in. */
  #clientOn: Connection | null = null;
  #serverOn: Connection | null = null;

  constructor(seed: number, options: TunnelOptions) {
    this.#random = seededRandom(seed);
    this.#options = options;
    this.network = new VirtualNetwork(this.#random, (header, kind) =>
      this.#accept(header, kind === 'download' || kind === 'upload' ? 'http-stream' : this.#options.carrier),
    );
    const { now } = this.network;
    const silence = options.patient === true ? { silentAfterMs: 1e9 } : {};
    this.client = makeEnd(new ControlEndpoint({ role: 'client', now, ...silence }));
    this.server = makeEnd(new ControlEndpoint({ role: 'server', now, ...silence }));
  }

  /** The client's present connection; null while there is none. */
  get current(): Connection | null {
    return this.#clientOn;
  }

  /** The client makes a new connection; whether it lost the one before, or only believes so. */
  connect(): void {
    const { now } = this.network;
    if (this.#clientOn !== null) this.#dropClient(closeCodes.normal.wire, false);
    const id = Array.from({ length: 16 }, () => Math.floor(this.#random() * 16).toString(16)).join('');
    const up = { sent: [], delivered: [] };
    const down = { sent: [], delivered: [] };
    const clientSource = new Fifo(up.sent);
    const client = new ExchangeClient({
      ...this.#options,
      connection: id,
      generation: this.connections.length + 1,
      now,
      source: clientSource,
      deliver: (frame) => {
        this.#toEnd(this.client, connection, down, frame, this.#clientOn === connection);
      },
    });
    const serverSource = new Fifo(down.sent);
    const connection: Connection = { id, client, clientSource, server: null, serverSource, up, down };
    this.connections.push(connection);
    this.#clientOn = connection;
    this.client.endpoint.connected(now);
    this.settle();
  }

  sendText(end: TunnelEnd, text: string): boolean {
    const taken = end.endpoint.send(text, this.network.now);
    this.settle();
    return taken;
  }

  /** Queues a datagram at an end that has a connection. */
  sendDatagram(end: TunnelEnd, datagram: Uint8Array): void {
    const connection = end === this.client ? this.#clientOn : this.#serverOn;
    if (connection === null) return;
    (end === this.client ? connection.clientSource : connection.serverSource).frames.push(datagram);
    this.settle();
  }

  advance(ms: number): void {
    const until = this.network.now + ms;
    for (let still = 0; ; still++) {
      const next = this.#nextAt();
      if (next > until) break;
      if (next > this.network.now) still = 0;
      else if (still > 1000) throw new Error('a timeout is due for ever');
      this.network.now = Math.max(this.network.now, next);
      this.network.run();
      this.#timers();
      this.settle();
    }
    this.network.now = until;
  }

  /** Drains everything at both ends. */
  settle(): void {
    const { now } = this.network;
    this.#settleClient(now);
    this.#settleServer(now);
    for (const connection of this.connections) {
      const { client, server } = connection;
      for (let event = client.nextEvent(); event !== null; event = client.nextEvent()) {
        this.events.push(event.type === 'closed' ? `closed ${String(event.wire)}` : event.type);
        if (event.type === 'closed' && this.#clientOn === connection) this.#lostByClient();
      }
      for (let output = client.nextOutput(now); output !== null; output = client.nextOutput(now)) {
        this.network.fromClient(client, output);
      }
      if (server === null) continue;
      if (server.ended !== null && this.#serverOn === connection) this.#endServer(server.ended.wire);
      for (let output = server.nextOutput(now); output !== null; output = server.nextOutput(now)) {
        this.network.fromServer(output);
      }
    }
  }

  #accept(header: ExchangeHeader, carrier: ExchangeCarrier): ExchangeServer<Arrival> | number {
    const { now } = this.network;
    const found = this.#book.find('session', header);
    if (typeof found === 'number') return found;
    if (found !== 'new') return found.server as ExchangeServer<Arrival>;
    const connection = this.connections.find(({ id }) => id === header.connection) as Connection;
    if (this.#serverOn !== null) this.#endServer(closeCodes.replaced.wire);
    this.#book.add('session', header, connection);
    connection.server = new ExchangeServer<Arrival>({
      carrier,
      connection: header.connection,
      now,
      source: connection.serverSource,
      deliver: (frame) => {
        this.#toEnd(this.server, connection, connection.up, frame, this.#serverOn === connection);
      },
    });
    this.#serverOn = connection;
    this.server.endpoint.connected(now);
    return connection.server;
  }

  #toEnd(end: TunnelEnd, _connection: Connection, direction: Direction, frame: Uint8Array, isCurrent: boolean): void {
    if (!isControl(frame)) {
      end.datagrams.push(frame.slice());
      return;
    }
    direction.delivered.push(key(frame));
    if (!isCurrent) return;
    const error = end.endpoint.handle(frame, this.network.now);
    if (error !== null) end.errors.push(error.reason);
  }

  #settleClient(now: number): void {
    const { endpoint, texts } = this.client;
    for (let event = endpoint.nextEvent(); event !== null; event = endpoint.nextEvent()) {
      if (event.type === 'message') texts.push(event.text);
      else if (event.type === 'silent') this.#dropClient(closeCodes.idle.wire, true);
    }
    this.#drain(endpoint, this.#clientOn?.clientSource, now);
  }

  #settleServer(now: number): void {
    const { endpoint, texts } = this.server;
    for (let event = endpoint.nextEvent(); event !== null; event = endpoint.nextEvent()) {
      if (event.type === 'message') texts.push(event.text);
      else if (event.type === 'silent') this.#endServer(closeCodes.idle.wire);
    }
    this.#drain(endpoint, this.#serverOn?.serverSource, now);
  }

  #drain(endpoint: ControlEndpoint, source: Fifo | undefined, now: number): void {
    for (let frame = endpoint.nextOutput(now); frame !== null; frame = endpoint.nextOutput(now)) {
      source?.frames.push(frame);
    }
  }

  #dropClient(wire: number, again: boolean): void {
    this.#clientOn?.client.close(wire);
    this.#clientOn = null;
    if (again) this.#lostByClient();
  }

  #lostByClient(): void {
    this.#clientOn = null;
    this.client.endpoint.disconnected(this.network.now);
    this.network.at(this.network.now + 50, () => {
      if (this.#clientOn === null) this.connect();
    });
  }

  #endServer(wire: number): void {
    const connection = this.#serverOn;
    if (connection === null) return;
    this.#serverOn = null;
    connection.server?.close(wire);
    this.server.endpoint.disconnected(this.network.now);
    this.network.at(this.network.now + lingerMs, () => {
      this.#book.end('session', connection.id, wire);
    });
  }

  #nextAt(): number {
    let next = this.network.nextAt();
    for (const { endpoint } of [this.client, this.server]) next = Math.min(next, endpoint.nextTimeout() ?? Infinity);
    for (const { client, server } of this.connections) {
      next = Math.min(next, client.nextTimeout() ?? Infinity, server?.nextTimeout() ?? Infinity);
    }
    return next;
  }

  #timers(): void {
    const { now } = this.network;
    for (const { endpoint } of [this.client, this.server]) {
      if ((endpoint.nextTimeout() ?? Infinity) <= now) endpoint.handleTimeout(now);
    }
    for (const { client, server } of this.connections) {
      if ((client.nextTimeout() ?? Infinity) <= now) client.handleTimeout(now);
      if ((server?.nextTimeout() ?? Infinity) <= now) server?.handleTimeout(now);
    }
  }
}

function makeEnd(endpoint: ControlEndpoint): TunnelEnd {
  return { endpoint, texts: [], datagrams: [], errors: [] };
}

function isControl(frame: Uint8Array): boolean {
  return classifyDatagram(frame) === datagramClass.control;
}

/** Length and a hash (FNV-1a) of the first bytes: what tells control frames apart stands there. */
function key(frame: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < frame.length && i < 40; i++) hash = Math.imul(hash ^ (frame[i] as number), 0x01000193);
  return frame.length * 0x1_0000_0000 + (hash >>> 0);
}
