/**
 * A session's control channel over whichever tunnel passes: reliable signalling that survives lost connections, and the
 * datagrams that share its connection. Knows neither Node nor the DOM.
 */
import {
  ControlEndpoint,
  SignalDecodeError,
  capability,
  classifyDatagram,
  clipReason,
  closeCodes,
  datagramClass,
  decodeSignalEvent,
  encodeControlFrame,
  isTurnFlowFrame,
} from '../../tunnel-protocol/index.ts';
import type {
  ControlEvent,
  ControlRung,
  DelayTrend,
  PathReport,
  SendMeta,
  SignalRequest,
} from '../../tunnel-protocol/index.ts';
import { systemClock } from '../clock.ts';
import type { ClientClock } from '../clock.ts';
import { Emitter } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import { openCarriers } from './carriers.ts';
import type { CarrierOptions } from './carriers.ts';
import type { ControlConnection } from './control-connection.ts';
import { racePolicy } from './control-race.ts';
import type { RacePolicy } from './control-race.ts';
import { defaultMetaOf } from './datagram-meta.ts';
import { PendingRequests } from './pending-requests.ts';
import { ReconnectPolicy } from './reconnect-policy.ts';
import { SessionConnections } from './session-connections.ts';
import type { ControlAttempt } from './session-connections.ts';
import type { ReplyTo, RequestBody, SignalNotice } from './signal-types.ts';
import type { TunnelClose } from './tunnel-socket.ts';

export interface ControlClientOptions extends CarrierOptions {
  /** The carrier that worked last on this network: tried first. */
  readonly preferred?: ControlRung | undefined;
  /** How long the server keeps the session without a connection; the client gives up when it is over. */
  readonly graceMs: number;
  readonly clock?: ClientClock;
  /** 0 ≤ x < 1, spreads attempts to connect; Math.random if absent. */
  readonly random?: () => number;
  readonly race?: Partial<RacePolicy>;
}

export interface ControlClientEvents {
  event: SignalNotice;
  /** A datagram that is no control frame, borrowed until the listener returns. */
  datagram: Uint8Array;
  /** A frame of a TURN flow beside the session, borrowed the same way. */
  turn: Uint8Array;
  /** A connection is up: `resumed` is false for the first one. Datagrams flow from now on. */
  connected: { readonly resumed: boolean };
  /** The connection is lost and will be made again. Messages wait for it, datagrams are dropped. */
  disconnected: { readonly reason: string };
  /** Another connection took over before the one before was left. To the server it is another path for datagrams. */
  moved: { readonly from: ControlRung; readonly to: ControlRung };
  /** Another carrier than before, which is null at first. Follows `connected` or `moved`. */
  rung: { readonly from: ControlRung | null; readonly to: ControlRung };
  /** An attempt to open a carrier has ended. */
  attempt: ControlAttempt;
  'round-trip': { readonly ms: number; readonly trend: DelayTrend };
  /** How the server fares on the media path. */
  report: PathReport;
  /** Audio or video that `sendDatagram` took is dropped, because the connection is too slow. Do not send from here. */
  dropped: SendMeta;
  /** Once; nothing follows. `error` is null when this side closed or left. */
  closed: { readonly error: ClientError | null };
}

const requestTimeoutMs = 30_000;
/** Attempts that are kept; a call of days tries again and again. */
const maxAttempts = 64;

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
  readonly #connections: SessionConnections;
  readonly #attempts: ControlAttempt[] = [];
  #rung: ControlRung | null = null;
  #started = false;
  #welcomed = false;
  #everWelcomed = false;
  #closed = false;
  #endpointTimer: unknown = null;
  #retryTimer: unknown = null;
  #drainTimer: unknown = null;
  #roundTripMs: number | null = null;
  #delayTrend: DelayTrend | null = null;
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
    this.#connections = this.#createConnections();
  }

  /** True while the server has answered on the present connection, so that datagrams flow. */
  get connected(): boolean {
    return this.#welcomed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** What carries the channel now, or carried it last. */
  get rung(): ControlRung {
    return this.#rung ?? 'websocket';
  }

  /** Every try to open a carrier that has ended, oldest first; the latest 64. */
  get attempts(): readonly ControlAttempt[] {
    return this.#attempts;
  }

  /** Of the latest ping, in ms; null before the first answer. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  get delayTrend(): DelayTrend | null {
    return this.#delayTrend;
  }

  /** Events of the server that this version does not understand, and skipped. */
  get unreadableEvents(): number {
    return this.#unreadableEvents;
  }

  /** Makes the first connection, and from then on every further one. Listen to the events first. */
  connect(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    this.#connections.start();
  }

  /** The network is another one: better carriers are tried now. */
  retry(): void {
    if (!this.#closed) this.#connections.retry();
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
    return this.#connections.present?.deliveryRate ?? null;
  }

  /**
   * Copies the datagram. False when it was dropped: no connection, or longer than a frame takes. What is taken may be
   * dropped later, which `dropped` tells. RTP should come with its meta; for all else there is a fitting default.
   */
  sendDatagram(datagram: Uint8Array, meta: SendMeta = defaultMetaOf(datagram)): boolean {
    return this.#welcomed && this.#connections.present?.sendDatagram(datagram, meta) === true;
  }

  /** Tells the server how the media path fares here, and asks for its own figures. Lost where there is no connection. */
  sendReport(report: PathReport): void {
    this.#endpoint.report(report, true);
    this.#pump();
  }

  /** Tells the server that the client leaves on purpose, and ends. Requests that wait are rejected. Idempotent. */
  close(reason = ''): void {
    if (this.#closed) return;
    const { wire } = closeCodes.normal;
    this.#endpoint.close('normal', reason, this.#clock.now());
    this.#pump();
    // The server may be there already, and then it hears nothing of what is said here.
    this.#connections.next?.sendControl(encodeControlFrame({ type: 'close', wire, reason: clipReason(reason) }));
    this.#finish(null, wire, reason);
  }

  #createConnections(): SessionConnections {
    const { race, preferred } = this.#options;
    const carriers = openCarriers(this.#options, this.#clock);
    const policy = { ...racePolicy, ...race, rungs: [...carriers.keys()], preferred };
    return new SessionConnections(carriers, policy, this.#clock, {
      bind: () => {
        this.#endpoint.connected(this.#clock.now());
        this.#pump();
      },
      beginMove: () => this.#endpoint.beginMove(),
      cancelMove: () => {
        this.#endpoint.cancelMove();
        this.#pump();
      },
      moved: (connection, welcome) => {
        this.#endpoint.moved(this.#clock.now());
        this.#receive(connection, welcome);
      },
      frame: (connection, frame) => {
        this.#receive(connection, frame);
      },
      messageEnd: () => {
        this.#pump();
      },
      dropped: (meta) => {
        this.emit('dropped', meta);
      },
      lost: (close) => {
        this.#lost(close);
      },
      exhausted: (close) => {
        this.#exhausted(close);
      },
      ended: ({ error }, { wire, reason }) => {
        this.#finish(error, wire, reason);
      },
      attempt: (attempt) => {
        this.#attempts.push(attempt);
        if (this.#attempts.length > maxAttempts) this.#attempts.shift();
        this.emit('attempt', attempt);
      },
    });
  }

  #receive(connection: ControlConnection, frame: Uint8Array): void {
    if (classifyDatagram(frame) !== datagramClass.control) {
      if (this.#welcomed) this.emit(isTurnFlowFrame(frame) ? 'turn' : 'datagram', frame);
      return;
    }
    const error = this.#endpoint.handle(frame, this.#clock.now());
    if (error === null) return;
    // Its last output is the close frame that tells the server why.
    this.#writeOutput(connection);
    this.#connections.drop({ wire: closeCodes[error.close].wire, reason: error.sentence });
  }

  /** Takes the endpoint's events, then its output, then looks when it is due again. */
  #pump(): void {
    for (let event = this.#endpoint.nextEvent(); event !== null; event = this.#endpoint.nextEvent()) {
      this.#handle(event);
    }
    if (this.#closed) return;
    const connection = this.#connections.present;
    if (connection?.open === true) this.#writeOutput(connection);
    this.#schedule();
  }

  #writeOutput(connection: ControlConnection): void {
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
      case 'welcome':
        this.#welcome((event.capabilities & capability.credit) !== 0);
        return;
      case 'message':
        this.#handleMessage(event.text);
        return;
      case 'round-trip':
        this.#roundTripMs = event.ms;
        this.#delayTrend = event.trend;
        this.#connections.roundTrip();
        this.emit('round-trip', { ms: event.ms, trend: event.trend });
        return;
      case 'report':
        this.emit('report', event.report);
        return;
      case 'drain':
        this.#scheduleMove(event.retryAfterMs + event.spreadMs * (this.#options.random ?? Math.random)(), event.where);
        return;
      case 'edges':
        this.#options.edges?.replace(event.edges);
        return;
      case 'silent':
        this.#connections.drop({ wire: closeCodes.idle.wire, reason: 'nothing was heard' });
        return;
      case 'close':
        this.#connections.drop({ wire: event.wire, reason: event.reason });
        return;
      case 'open':
        return;
    }
  }

  #welcome(credits: boolean): void {
    const connection = this.#connections.present;
    if (connection === null) return;
    if (credits) connection.agreeOnCredits();
    const moved = this.#welcomed;
    const resumed = this.#everWelcomed;
    const from = this.#rung;
    const to = connection.rung;
    this.#rung = to;
    this.#welcomed = true;
    this.#everWelcomed = true;
    this.#policy.connected();
    if (moved) this.emit('moved', { from: from ?? to, to });
    else this.emit('connected', { resumed });
    if (from !== to) this.emit('rung', { from, to });
    this.#connections.welcomed();
  }

  #handleMessage(text: string): void {
    const event = decodeSignalEvent(text);
    if (event instanceof SignalDecodeError) {
      this.#unreadableEvents++;
      if (event.requestId !== null) {
        this.#requests.reject(event.requestId, new ClientError('bad-answer', { detail: event.message }));
      }
    } else if (event.type === 'participants') {
      for (const participant of event.changed) this.emit('event', { type: 'participant-updated', participant });
      for (const id of event.left) this.emit('event', { type: 'participant-left', id });
    } else if (event.type !== 'reply') {
      this.emit('event', event);
    } else if (event.ok) {
      this.#requests.resolve(event.id, event.body);
    } else {
      this.#requests.refuse(event.id, event.error);
    }
  }

  /** The edge is going away: this connection is given up for a new one, which another edge may take. */
  #scheduleMove(afterMs: number, where: string): void {
    if (this.#drainTimer !== null) return;
    this.#drainTimer = this.#clock.setTimer(() => {
      this.#drainTimer = null;
      this.#options.edges?.leaveFor(where);
      this.#connections.leave();
    }, afterMs);
  }

  #lost(close: TunnelClose): void {
    this.#endpoint.disconnected(this.#clock.now());
    if (this.#drainTimer !== null) this.#clock.clearTimer(this.#drainTimer);
    this.#drainTimer = null;
    const wasConnected = this.#welcomed;
    this.#welcomed = false;
    this.#schedule();
    if (wasConnected) this.emit('disconnected', { reason: close.reason });
  }

  #exhausted(close: TunnelClose): void {
    this.#options.edges?.next();
    const wait = this.#policy.failed(this.#clock.now());
    if (wait === null) {
      this.#finish(this.#outOfTime(close.error ?? null), close.wire, close.reason);
      return;
    }
    this.#retryTimer = this.#clock.setTimer(() => {
      this.#retryTimer = null;
      this.#connections.start();
    }, wait);
  }

  #outOfTime(cause: ClientError | null): ClientError {
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
    this.#connections.close(wire, reason);
    this.#requests.rejectAll(error ?? new ClientError('left'));
    this.emit('closed', { error });
  }
}
