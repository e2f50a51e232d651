/**
 * A session's control channel over a WebSocket-like tunnel: reliable signalling that survives lost connections, and the
 * datagrams that share its connection. Knows neither Node nor the DOM.
 */
import {
  ControlEndpoint,
  SignalDecodeError,
  capability,
  classifyDatagram,
  closeCodes,
  datagramClass,
  decodeSignalEvent,
  isRtcp,
  lane,
  transportMeta,
} from '../../tunnel-protocol/index.ts';
import type {
  ControlEvent,
  FlowLimits,
  SendMeta,
  SignalEvent,
  SignalReplyBody,
  SignalRequest,
} from '../../tunnel-protocol/index.ts';
import { systemClock } from '../clock.ts';
import type { ClientClock } from '../clock.ts';
import { Emitter } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import { endOfClose } from './close-error.ts';
import { PendingRequests } from './pending-requests.ts';
import { ReconnectPolicy } from './reconnect-policy.ts';
import { TunnelConnection } from './tunnel-connection.ts';
import type { TunnelConnectionEvents } from './tunnel-connection.ts';
import { tunnelSubprotocols } from './tunnel-socket.ts';
import type { OpenTunnelSocket, TunnelClose } from './tunnel-socket.ts';

export interface ControlClientOptions {
  /** Of the WebSocket tunnel, absolute. */
  readonly url: string;
  readonly resumeToken: string;
  readonly openSocket: OpenTunnelSocket;
  /** How long the server keeps the session without a connection; the client gives up when it is over. */
  readonly graceMs: number;
  readonly clock?: ClientClock;
  /** 0 ≤ x < 1, spreads attempts to connect; Math.random if absent. */
  readonly random?: () => number;
  /** Of what is sent, the age at which it is dropped among them. */
  readonly flow?: Partial<FlowLimits>;
}

/** Signalling events other than the replies to requests. */
export type SignalNotice = Exclude<SignalEvent, { type: 'reply' }>;

export interface ControlClientEvents {
  event: SignalNotice;
  /** A datagram that is no control frame, borrowed until the listener returns. */
  datagram: Uint8Array;
  /** A connection is up: `resumed` is false for the first one. Datagrams flow from now on. */
  connected: { readonly resumed: boolean };
  /** The connection is lost and will be made again. Messages wait for it, datagrams are dropped. */
  disconnected: { readonly reason: string };
  'round-trip': { readonly ms: number };
  /** Audio or video that `sendDatagram` took is dropped, because the connection is too slow. Do not send from here. */
  dropped: SendMeta;
  /** Once; nothing follows. `error` is null when this side closed or left. */
  closed: { readonly error: ClientError | null };
}

/** A request without its id, which the client gives. */
export type RequestBody<T extends SignalRequest['type'] = SignalRequest['type']> = T extends unknown
  ? Omit<Extract<SignalRequest, { type: T }>, 'id'>
  : never;

export type ReplyTo<T extends SignalRequest['type']> = T extends 'join' | 'offer'
  ? Extract<SignalReplyBody, { of: T }>
  : Exclude<SignalReplyBody, { of: 'join' } | { of: 'offer' }>;

const requestTimeoutMs = 30_000;

/** Media of which the sender tells nothing: dropped by its age alone. */
const unknownMediaMeta: SendMeta = { ...transportMeta, lane: lane.video, discardable: true };

/**
 * ```ts
 * const control = new ControlClient({ url, resumeToken, openSocket, graceMs });
 * control.on('event', (event) => …);
 * control.connect();
 * const { self, participants } = await control.request({ type: 'join' });   // may be called before it is connected
 * ```
 */
export class ControlClient extends Emitter<ControlClientEvents> {
  readonly #options: ControlClientOptions;
  readonly #clock: ClientClock;
  readonly #endpoint: ControlEndpoint;
  readonly #requests: PendingRequests;
  readonly #policy: ReconnectPolicy;
  #connection: TunnelConnection | null = null;
  #started = false;
  #welcomed = false;
  #everWelcomed = false;
  #closed = false;
  #endpointTimer: unknown = null;
  #retryTimer: unknown = null;
  #drainTimer: unknown = null;
  #lastFailure: ClientError | null = null;
  #roundTripMs: number | null = null;
  #unreadableEvents = 0;

  constructor(options: ControlClientOptions) {
    super();
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#endpoint = new ControlEndpoint({
      role: 'client',
      now: this.#clock.now(),
      capabilities: capability.credit,
    });
    this.#requests = new PendingRequests(this.#clock, requestTimeoutMs);
    this.#policy = new ReconnectPolicy(options.graceMs, options.random ?? Math.random);
  }

  /** True while the server has answered on the present connection, so that datagrams flow. */
  get connected(): boolean {
    return this.#welcomed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Of the latest ping, in ms; null before the first answer. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /** Events of the server that this version does not understand, and skipped. */
  get unreadableEvents(): number {
    return this.#unreadableEvents;
  }

  /** Makes the first connection, and from then on every further one. Listen to the events first. */
  connect(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    this.#open();
  }

  /** Sends a request; resolves with its reply's body, rejects with a ClientError. Waits for a connection. */
  request<T extends SignalRequest['type']>(body: RequestBody<T> & { readonly type: T }): Promise<ReplyTo<T>> {
    if (this.#closed) return Promise.reject(new ClientError('left'));
    const reply = this.#requests.add(body.type, (id) => {
      const sent = this.#endpoint.send(JSON.stringify({ ...body, id }), this.#clock.now());
      if (sent) this.#pump();
      return sent;
    });
    return reply as Promise<ReplyTo<T>>;
  }

  /** Bits per second that the connection delivers, where that is less than what was to be sent lately; else null. */
  get deliveryRate(): number | null {
    return this.#connection?.deliveryRate ?? null;
  }

  /**
   * Copies the datagram. False when it was dropped: no connection, or longer than a frame takes. What is taken may be
   * dropped later, which `dropped` tells. RTP should come with its meta; for all else there is a fitting default.
   */
  sendDatagram(datagram: Uint8Array, meta: SendMeta = defaultMetaOf(datagram)): boolean {
    return this.#welcomed && this.#connection !== null && this.#connection.sendDatagram(datagram, meta);
  }

  /** Tells the server that the client leaves on purpose, and ends. Requests that wait are rejected. Idempotent. */
  close(reason = ''): void {
    if (this.#closed) return;
    this.#endpoint.close('normal', reason, this.#clock.now());
    this.#pump();
    this.#finish(null, closeCodes.normal.wire, reason);
  }

  #open(): void {
    this.#retryTimer = null;
    const socket = this.#options.openSocket(this.#options.url, tunnelSubprotocols(this.#options.resumeToken));
    const events: TunnelConnectionEvents = {
      opened: () => {
        this.#endpoint.connected(this.#clock.now());
        this.#pump();
      },
      frame: (frame) => {
        this.#receive(connection, frame);
      },
      messageEnd: () => {
        this.#pump();
      },
      dropped: (meta) => {
        this.emit('dropped', meta);
      },
      closed: (close) => {
        this.#lost(close);
      },
    };
    const connection = new TunnelConnection(socket, this.#clock, events, this.#options.flow);
    this.#connection = connection;
  }

  #receive(connection: TunnelConnection, frame: Uint8Array): void {
    if (classifyDatagram(frame) !== datagramClass.control) {
      if (this.#welcomed) this.emit('datagram', frame);
      return;
    }
    const error = this.#endpoint.handle(frame, this.#clock.now());
    if (error === null) return;
    // Its last output is the close frame that tells the server why.
    this.#writeOutput(connection);
    const { wire } = closeCodes[error.close];
    connection.close(wire, error.reason);
    this.#lost({ wire, reason: error.sentence });
  }

  /** Takes the endpoint's events, then its output, then looks when it is due again. */
  #pump(): void {
    for (let event = this.#endpoint.nextEvent(); event !== null; event = this.#endpoint.nextEvent()) {
      this.#handle(event);
    }
    if (this.#closed) return;
    if (this.#connection?.open === true) this.#writeOutput(this.#connection);
    this.#schedule();
  }

  #writeOutput(connection: TunnelConnection): void {
    const now = this.#clock.now();
    for (let frame = this.#endpoint.nextOutput(now); frame !== null; frame = this.#endpoint.nextOutput(now)) {
      connection.sendControl(frame);
    }
  }

  #schedule(): void {
    if (this.#endpointTimer !== null) this.#clock.clearTimer(this.#endpointTimer);
    this.#endpointTimer = null;
    const at = this.#endpoint.nextTimeout();
    if (at === null || this.#closed) return;
    const wait = Math.max(0, at - this.#clock.now());
    this.#endpointTimer = this.#clock.setTimer(() => {
      this.#endpointTimer = null;
      this.#endpoint.handleTimeout(this.#clock.now());
      this.#pump();
    }, wait);
  }

  #handle(event: ControlEvent): void {
    if (this.#closed) return;
    switch (event.type) {
      case 'welcome': {
        const resumed = this.#everWelcomed;
        this.#welcomed = true;
        this.#everWelcomed = true;
        this.#lastFailure = null;
        this.#policy.connected();
        if ((event.capabilities & capability.credit) !== 0) this.#connection?.agreeOnCredits();
        this.emit('connected', { resumed });
        return;
      }
      case 'message':
        this.#handleMessage(event.text);
        return;
      case 'round-trip':
        this.#roundTripMs = event.ms;
        this.emit('round-trip', { ms: event.ms });
        return;
      case 'drain':
        this.#scheduleMove(event.retryAfterMs + event.spreadMs * (this.#options.random ?? Math.random)());
        return;
      case 'silent':
        this.#drop(closeCodes.idle.wire, 'nothing was heard');
        return;
      case 'close':
        this.#drop(event.wire, event.reason);
        return;
      case 'open':
        return;
    }
  }

  #handleMessage(text: string): void {
    const event = decodeSignalEvent(text);
    if (event instanceof SignalDecodeError) {
      this.#unreadableEvents++;
      if (event.requestId !== null) {
        this.#requests.reject(event.requestId, new ClientError('bad-answer', { detail: event.message }));
      }
    } else if (event.type !== 'reply') {
      this.emit('event', event);
    } else if (event.ok) {
      this.#requests.resolve(event.id, event.body);
    } else {
      this.#requests.refuse(event.id, event.error);
    }
  }

  /** The edge is going away: this connection is given up for a new one, which another edge may take. */
  #scheduleMove(afterMs: number): void {
    if (this.#drainTimer !== null) return;
    this.#drainTimer = this.#clock.setTimer(() => {
      this.#drainTimer = null;
      this.#drop(closeCodes.draining.wire, 'moving to another edge');
    }, afterMs);
  }

  /** Gives the present connection up, for a reason that the code tells. */
  #drop(wire: number, reason: string): void {
    const connection = this.#connection;
    if (connection === null) return;
    connection.close(wire, reason);
    this.#lost({ wire, reason });
  }

  #lost(close: TunnelClose): void {
    if (this.#closed) return;
    this.#connection = null;
    const now = this.#clock.now();
    this.#endpoint.disconnected(now);
    if (this.#drainTimer !== null) this.#clock.clearTimer(this.#drainTimer);
    this.#drainTimer = null;
    const wasConnected = this.#welcomed;
    this.#welcomed = false;
    this.#lastFailure = close.error ?? this.#lastFailure;
    const end = close.final === true ? { error: close.error ?? null } : endOfClose(close.wire, close.reason);
    if (end !== null) {
      this.#finish(end.error, close.wire, close.reason);
      return;
    }
    const wait = this.#policy.failed(now);
    if (wait === null) {
      this.#finish(this.#outOfTime(), close.wire, close.reason);
      return;
    }
    this.#schedule();
    this.#retryTimer = this.#clock.setTimer(() => {
      this.#open();
    }, wait);
    if (wasConnected) this.emit('disconnected', { reason: close.reason });
  }

  #outOfTime(): ClientError {
    const cause = this.#lastFailure;
    if (cause === null) return new ClientError('connection-lost');
    // A session that never had a connection: the reason of the last attempt says more.
    return this.#everWelcomed ? new ClientError('connection-lost', { cause, detail: cause.message }) : cause;
  }

  #finish(error: ClientError | null, wire: number, reason: string): void {
    this.#closed = true;
    this.#welcomed = false;
    for (const timer of [this.#endpointTimer, this.#retryTimer, this.#drainTimer]) {
      if (timer !== null) this.#clock.clearTimer(timer);
    }
    this.#connection?.close(wire, reason);
    this.#connection = null;
    this.#requests.rejectAll(error ?? new ClientError('left'));
    this.emit('closed', { error });
  }
}

function defaultMetaOf(datagram: Uint8Array): SendMeta {
  return classifyDatagram(datagram) === datagramClass.rtp && !isRtcp(datagram) ? unknownMediaMeta : transportMeta;
}
