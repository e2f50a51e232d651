/**
 * A connection of the tunnel that is made of HTTP requests: http-stream or long-poll. What it sends waits here, in lanes
 * and with deadlines, until a request can take it.
 */
import {
  DeliveryMeter,
  ExchangeClient,
  SendQueue,
  capability,
  closeCodes,
  controlType,
  fitsFrame,
  lane,
  putU16,
  u16,
} from '../../tunnel-protocol/index.ts';
import type { ClientOutput, ExchangeCarrier, FlowLimits, FrameSource, SendMeta } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import { ClientError } from '../errors.ts';
import type { ClientErrorCode } from '../errors.ts';
import type { ControlConnection, ControlConnectionEvents } from './control-connection.ts';
import type { ExchangeFetch } from './exchange-fetch.ts';
import { ExchangeRequest } from './exchange-request.ts';
import type { TunnelClose } from './tunnel-socket.ts';

export interface ExchangeConnectionOptions {
  readonly carrier: ExchangeCarrier;
  /** Absolute, of the carrier's route. */
  readonly url: string;
  readonly resumeToken: string;
  readonly fetch: ExchangeFetch;
  /** More than that of any exchange connection of the session before. */
  readonly generation: number;
  readonly clock: ClientClock;
  /** Requests share one HTTP/2 connection, so that several may be on their way at once. */
  readonly http2?: boolean;
  /** `http-stream`: upload by one streamed body, which needs HTTP/2 and an environment that streams requests. */
  readonly streamUpload?: boolean;
  /** `long-poll`: the edge is of another origin than the page, and asking leave for each request would double the round trips. */
  readonly simple?: boolean;
  readonly flow?: Partial<FlowLimits> | undefined;
  readonly explain?: (error: unknown) => ClientError;
}

export type OpenExchange = (options: ExchangeConnectionOptions, events: ControlConnectionEvents) => ControlConnection;

export const openExchange: OpenExchange = (options, events) => new ExchangeConnection(options, events);

const controlMeta: SendMeta = { lane: lane.control, frameId: 0, keyFrame: false, discardable: false, deadlineMs: 0 };
/** How long the last request of a connection, which takes leave, may take. */
const farewellMs = 5000;
/** The stream's first bytes leave the server no later than the answer to a post. */
const lateStreamMs = 300;
const lost = 1006;
/** Where `capabilities` stand in `open`. */
const capabilitiesOffset = 2;

export class ExchangeConnection implements ControlConnection, FrameSource {
  readonly rung: ExchangeCarrier;
  readonly #options: ExchangeConnectionOptions;
  readonly #events: ControlConnectionEvents;
  readonly #clock: ClientClock;
  readonly #queue: SendQueue;
  readonly #meter: DeliveryMeter;
  readonly #client: ExchangeClient;
  readonly #requests = new Map<number, ExchangeRequest>();
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  #heardAt: number | null = null;
  #heardStream = false;
  /** Bodies are text: what is in between refuses others. */
  #text = false;
  #pumpQueued = false;
  #timer: unknown = null;
  #timerAt = Infinity;
  #farewellTimer: unknown = null;

  constructor(options: ExchangeConnectionOptions, events: ControlConnectionEvents) {
    const { carrier, clock, generation, http2 = false, streamUpload = false, flow = {} } = options;
    const now = clock.now();
    this.rung = carrier;
    this.#options = options;
    this.#events = events;
    this.#clock = clock;
    this.#queue = new SendQueue({
      ...flow,
      onDrop: (meta) => {
        events.dropped(meta);
      },
    });
    this.#meter = new DeliveryMeter(now);
    this.#client = new ExchangeClient({
      carrier,
      connection: randomConnection(),
      generation,
      now,
      source: this,
      deliver: (frame) => {
        // A frame before this one may have led the owner to close.
        if (this.#state === 'open') this.#events.frame(frame);
      },
      polls: http2 ? 2 : 1,
      posts: http2 ? 4 : 1,
      streamUpload: http2 && streamUpload,
    });
    // Requests carry frames from the first one on: there is nothing to wait for.
    queueMicrotask(() => {
      if (this.#state !== 'connecting') return;
      this.#state = 'open';
      events.opened();
      this.#pump();
    });
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  get deliveryRate(): number | null {
    return this.#meter.rate(this.#clock.now());
  }

  /** The server answers, but nothing comes on the stream. */
  get suspicion(): ClientErrorCode | null {
    const isLate = this.#heardAt !== null && this.#clock.now() - this.#heardAt >= lateStreamMs;
    return this.rung === 'http-stream' && isLate && !this.#heardStream ? 'buffered' : null;
  }

  agreeOnCredits(): void {
    // Neither end has them here: a path is kept busy by exchanges instead.
  }

  sendControl(frame: Uint8Array): void {
    if (this.#state !== 'open') return;
    if (frame[0] === controlType.open) {
      putU16(frame, capabilitiesOffset, u16(frame, capabilitiesOffset) & ~capability.credit);
    }
    this.#push(frame, controlMeta);
  }

  sendDatagram(datagram: Uint8Array, meta: SendMeta): boolean {
    if (this.#state !== 'open' || !fitsFrame(datagram)) return false;
    this.#push(datagram.slice(), meta);
    return true;
  }

  close(wire: number): void {
    if (this.#state === 'closed') return;
    this.#end();
    this.#queue.keepControl();
    this.#client.close(wire >= 4000 ? wire : closeCodes.normal.wire);
    this.#queuePump();
  }

  /** Of the exchanges, from the queue. */
  get waiting(): boolean {
    this.#queue.expire(this.#clock.now());
    return !this.#queue.isEmpty;
  }

  take(room: number, now: number): Uint8Array | null {
    this.#queue.expire(now);
    const next = this.#queue.peek();
    if (next === null || next.length > room) return null;
    this.#queue.shift();
    this.#meter.left(next.length);
    if (this.#queue.isEmpty) this.#meter.emptied();
    return next;
  }

  #push(frame: Uint8Array, meta: SendMeta): void {
    if (this.#queue.push(frame, meta, this.#clock.now())) this.#queuePump();
    else this.#lose({ wire: closeCodes['slow-reader'].wire, reason: 'the server does not read' });
  }

  /** What is sent within a task goes together. */
  #queuePump(): void {
    if (this.#pumpQueued) return;
    this.#pumpQueued = true;
    queueMicrotask(this.#pump);
  }

  readonly #pump = (): void => {
    this.#pumpQueued = false;
    const client = this.#client;
    for (let event = client.nextEvent(); event !== null; event = client.nextEvent()) {
      if (event.type === 'closed') this.#lose({ wire: event.wire, reason: '' });
      else this.#lose({ wire: lost, reason: 'buffered', error: new ClientError('buffered') });
    }
    const now = this.#clock.now();
    for (let output = client.nextOutput(now); output !== null; output = client.nextOutput(now)) this.#perform(output);
    this.#schedule(now);
  };

  #schedule(now: number): void {
    const at = this.#client.nextTimeout() ?? Infinity;
    // An earlier timer finds nothing to do and sets the later one: cheaper than setting it anew for each packet.
    if (at >= this.#timerAt || this.#state === 'closed') return;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timerAt = at;
    this.#timer = this.#clock.setTimer(
      () => {
        this.#timer = null;
        this.#timerAt = Infinity;
        this.#client.handleTimeout(this.#clock.now());
        this.#pump();
      },
      Math.max(0, at - now),
    );
  }

  #perform(output: ClientOutput): void {
    if (output.type === 'request') {
      if (this.#state === 'closed') {
        // Before anybody heard of this connection there is nobody to take leave of.
        if (this.#heardAt === null) return;
        this.#farewellTimer = this.#clock.setTimer(this.#abortAll, farewellMs);
      }
      this.#request(output);
      return;
    }
    const request = this.#requests.get(output.exchange);
    if (request === undefined) return;
    if (output.type === 'abort') {
      request.abort();
      this.#forget(output.exchange);
    } else if (output.type === 'finish') request.finish();
    else if (!request.write(output.bytes)) this.#client.blocked(output.exchange);
  }

  #request({ kind, header, body }: ClientOutput & { type: 'request' }): void {
    const { url, resumeToken, fetch, simple, explain } = this.#options;
    const { exchange } = header;
    const client = this.#client;
    const now = (): number => this.#clock.now();
    let bytes = 0;
    const request = new ExchangeRequest(
      { url, kind, header, body, resumeToken, text: this.#text, simple, fetch, explain },
      {
        received: (chunk) => {
          bytes += chunk.length;
          this.#heardAt ??= now();
          if (kind === 'download') this.#heardStream = true;
          client.received(exchange, chunk, now());
          if (this.#state === 'open') this.#events.messageEnd();
          this.#queuePump();
        },
        ended: () => {
          this.#forget(exchange);
          if (bytes === 0) {
            this.#failed(
              exchange,
              request,
              new ClientError('edge-not-sallyport', { detail: 'an empty answer' }),
              false,
            );
            return;
          }
          client.ended(exchange, now());
          this.#queuePump();
        },
        failed: (error, refused) => {
          this.#forget(exchange);
          this.#failed(exchange, request, error, refused);
        },
        drained: () => {
          client.drained(exchange);
          this.#queuePump();
        },
      },
    );
    this.#requests.set(exchange, request);
  }

  #failed(exchange: number, request: ExchangeRequest, error: ClientError, refused: boolean): void {
    if (refused) {
      this.#lose({ wire: lost, reason: error.message, error, final: true });
      return;
    }
    // A network that passes requests loses one now and then. One that does not may still pass text.
    if (this.#heardAt === null && request.text === this.#text) {
      if (this.#text || this.rung !== 'long-poll' || error.code === 'edge-unreachable') {
        this.#lose({ wire: lost, reason: error.message, error });
        return;
      }
      this.#text = true;
    }
    this.#client.failed(exchange, this.#clock.now());
    this.#queuePump();
  }

  #lose(close: TunnelClose): void {
    if (this.#state === 'closed') return;
    this.#end();
    // Does nothing where the connection ended by the server's word.
    this.#client.close(closeCodes.normal.wire);
    this.#queuePump();
    this.#events.closed(close);
  }

  /** An exchange is over. */
  #forget(exchange: number): void {
    this.#requests.delete(exchange);
    if (this.#requests.size > 0 || this.#farewellTimer === null) return;
    this.#clock.clearTimer(this.#farewellTimer);
    this.#farewellTimer = null;
  }

  #end(): void {
    this.#state = 'closed';
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
  }

  readonly #abortAll = (): void => {
    for (const request of this.#requests.values()) request.abort();
    this.#requests.clear();
  };
}

/** 64 bits. */
function randomConnection(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
