/** One DTLS session: the guard, a role's handshake logic, a clock and an owner, put together. */
import type { DtlsClock } from './clock.ts';
import type { DtlsCounters } from './counters.ts';
import { alertDescription, alertLevel, DtlsGuard } from './guard.ts';
import { messageSequence } from './handshake-message.ts';
import { refused, type HandshakeLogic, type HandshakeStep } from './handshake.ts';
import type { DtlsCloseReason, DtlsRefusal } from './refusals.ts';
import { maxPlaintextBytes } from './record.ts';
import type { DtlsEvents } from './types.ts';

export interface DtlsSessionOptions {
  readonly logic: HandshakeLogic;
  readonly send: (datagram: Uint8Array) => void;
  readonly counters: DtlsCounters;
  readonly clock: DtlsClock;
  /** Largest datagram to send, in bytes. */
  readonly mtu: number;
  /** Null when unknown. */
  readonly roundTripMs: number | null;
}

export class DtlsSession {
  readonly #send: (datagram: Uint8Array) => void;
  readonly #counters: DtlsCounters;
  readonly #clock: DtlsClock;
  readonly #events: DtlsEvents;
  readonly #guard: DtlsGuard;
  /** Null when the handshake is over: transcript and engine are then let go. */
  #logic: HandshakeLogic | null;
  #state: 'handshake' | 'connected' | 'closed' = 'handshake';
  #started = false;
  #stepping = false;
  #lastRefusal: DtlsRefusal | null = null;
  #timer: unknown = null;
  #timerAt: number | null = null;

  constructor(options: DtlsSessionOptions, events: DtlsEvents) {
    this.#send = options.send;
    this.#counters = options.counters;
    this.#clock = options.clock;
    this.#logic = options.logic;
    this.#events = events;
    this.#guard = new DtlsGuard(options);
  }

  get connected(): boolean {
    return this.#state === 'connected';
  }

  /** Client: sends the first flight. Idempotent. */
  start(): void {
    if (this.#logic === null || this.#started) return;
    this.#started = true;
    this.#stepping = true;
    void this.#start(this.#logic);
  }

  receive(datagram: Uint8Array): void {
    if (this.#state === 'closed') return;
    this.#guard.handle(datagram, this.#clock.now());
    this.#settle();
  }

  sendData(bytes: Uint8Array): void {
    if (bytes.length > maxPlaintextBytes) throw new RangeError('Application data of more than 2^14 bytes');
    if (this.#state !== 'connected') return;
    this.#guard.sendData(bytes);
    this.#flush();
  }

  close(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'connected') this.#guard.sendAlert(alertLevel.warning, alertDescription.closeNotify);
    this.#end();
  }

  async #start(logic: HandshakeLogic): Promise<void> {
    const flight = await logic.start().catch(() => null);
    this.#stepping = false;
    if (this.#ended()) return;
    if (flight === null) {
      this.#fail('engine');
      return;
    }
    this.#guard.send(flight, this.#clock.now());
    this.#settle();
  }

  /** Everything that follows from a change of the guard's state. */
  #settle(): void {
    this.#flush();
    if (this.#logic !== null && !this.#stepping) this.#step(this.#logic);
    this.#deliver();
    this.#schedule();
  }

  #flush(): void {
    for (;;) {
      const datagram = this.#guard.nextOutbound();
      if (datagram === null) return;
      this.#send(datagram);
    }
  }

  /** One message at a time: the logic is asynchronous, and the next message may need what this one leads to. */
  #step(logic: HandshakeLogic): void {
    const message = this.#guard.nextInbound();
    if (message === null) return;
    this.#stepping = true;
    void this.#handleMessage(logic, message);
  }

  async #handleMessage(logic: HandshakeLogic, message: Uint8Array): Promise<void> {
    const step = await logic.next(message).catch(() => refused('engine', messageSequence(message)));
    this.#stepping = false;
    if (this.#ended()) return;
    this.#apply(step);
    if (!this.#ended()) this.#settle();
  }

  #apply(step: HandshakeStep): void {
    const now = this.#clock.now();
    switch (step.kind) {
      case 'more':
        return;
      case 'flight':
        if (step.protection !== null) this.#guard.protect(step.protection, now);
        this.#guard.send(step.flight, now);
        return;
      case 'protected':
        this.#guard.protect(step.protection, now);
        return;
      case 'done':
        this.#state = 'connected';
        this.#logic = null;
        this.#counters.connected++;
        this.#guard.establish(step.lastFlight, now);
        this.#flush();
        this.#events.onConnected(step.keys);
        return;
      case 'refused':
        this.#lastRefusal = step.refusal;
        this.#guard.refuse(step.refusal, step.from, now);
        // The engine's state is unknown after it threw.
        if (step.refusal === 'engine') this.#fail('engine');
    }
  }

  #deliver(): void {
    while (this.#state !== 'closed') {
      const event = this.#guard.nextEvent();
      if (event === null) return;
      if (event.type === 'data') this.#events.onData(event.bytes);
      else if (event.level === alertLevel.fatal) this.#closedByPeer('peer-alert');
      else if (event.description === alertDescription.closeNotify) this.#closedByPeer('close-notify');
    }
  }

  #closedByPeer(reason: DtlsCloseReason): void {
    this.#counters.closed_by_peer++;
    this.#end();
    this.#events.onClosed(reason);
  }

  /** Gives the handshake up: because of a refusal, if there was one, otherwise for lack of answers. */
  #fail(refusal: DtlsRefusal | null): void {
    this.#counters[refusal === null ? 'timed_out' : 'failed']++;
    this.#guard.sendAlert(alertLevel.fatal, alertDescription.handshakeFailure);
    this.#end();
    this.#events.onClosed(refusal === null ? 'timeout' : `refused-${refusal}`);
  }

  #end(): void {
    this.#state = 'closed';
    this.#logic = null;
    this.#flush();
    this.#schedule();
  }

  /** A call, so that control flow analysis does not take the state for settled across an await. */
  #ended(): boolean {
    return this.#state === 'closed';
  }

  #schedule(): void {
    const at = this.#state === 'closed' ? null : this.#guard.nextTimeout();
    if (at === this.#timerAt) return;
    const clock = this.#clock;
    if (this.#timer !== null) clock.clearTimer(this.#timer);
    this.#timerAt = at;
    this.#timer = at === null ? null : clock.setTimer(this.#handleTimeout, Math.max(0, at - clock.now()));
  }

  readonly #handleTimeout = (): void => {
    this.#timer = null;
    this.#timerAt = null;
    if (this.#guard.handleTimeout(this.#clock.now())) this.#fail(this.#lastRefusal);
    else this.#settle();
  };
}
