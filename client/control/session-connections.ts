/** The connections of a session as its control race wants them: opens them, proves them, and says which one is the present. */
import {
  closeCodeOf,
  closeCodes,
  controlType,
  decodeControlFrame,
  encodeControlFrame,
} from '../../tunnel-protocol/index.ts';
import type { ControlRung, SendMeta } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import { ClientError } from '../errors.ts';
import { endOfClose } from './close-error.ts';
import type { SessionEnd } from './close-error.ts';
import type { ControlConnection, OpenConnection } from './control-connection.ts';
import { ControlRace } from './control-race.ts';
import type { RaceAction, RaceOutcome, RacePolicy } from './control-race.ts';
import type { TunnelClose } from './tunnel-socket.ts';

/** How one try to open a carrier of the control channel ended. */
export interface ControlAttempt {
  readonly rung: ControlRung;
  readonly outcome: RaceOutcome;
  readonly ms: number;
  /** Of the error, where one is known; for people and to count by. */
  readonly reason?: string;
}

export interface SessionConnectionsEvents {
  /** This one carries the session from now on: send `open` on it. */
  bind(connection: ControlConnection): void;
  /** The `open` for another connection, while the present one goes on. */
  beginMove(): Uint8Array;
  cancelMove(): void;
  /** The other connection brought this `welcome`, and carries the session from now on. */
  moved(connection: ControlConnection, welcome: Uint8Array): void;
  /** Of the present connection, borrowed. */
  frame(connection: ControlConnection, frame: Uint8Array): void;
  messageEnd(): void;
  dropped(meta: SendMeta): void;
  /** The present connection is gone. */
  lost(close: TunnelClose): void;
  /** All carriers failed: call `start` after a pause. */
  exhausted(close: TunnelClose): void;
  /** The session is over. Last. */
  ended(end: SessionEnd, close: TunnelClose): void;
  attempt(attempt: ControlAttempt): void;
}

interface Entry {
  readonly rung: ControlRung;
  readonly connection: ControlConnection;
  opened: boolean;
  probedAt: number;
}

/** Of the ping before `open`; those of the session count from 1. */
const probeId = 0;
/** What answers in place of an edge to which the Upgrade did not get through. */
const strippedStatuses: readonly number[] = [200, 400, 403, 404, 405, 426, 501, 502];
const noClose: TunnelClose = { wire: 1006, reason: '' };

export class SessionConnections {
  readonly #openers: ReadonlyMap<ControlRung, OpenConnection>;
  readonly #clock: ClientClock;
  readonly #events: SessionConnectionsEvents;
  readonly #race: ControlRace;
  readonly #entries = new Map<number, Entry>();
  #running = false;
  #ended = false;
  #timer: unknown = null;
  #lastClose: TunnelClose = noClose;
  /** Why trying again is useless; null when one of the failures since the last start was none of these. */
  #finalError: ClientError | null = null;
  #failures = 0;

  constructor(
    openers: ReadonlyMap<ControlRung, OpenConnection>,
    policy: RacePolicy,
    clock: ClientClock,
    events: SessionConnectionsEvents,
  ) {
    this.#openers = openers;
    this.#clock = clock;
    this.#events = events;
    this.#race = new ControlRace(policy);
  }

  /** The one that carries the session; null when there is none. */
  get present(): ControlConnection | null {
    const { carrier } = this.#race;
    return carrier === null ? null : (this.#entries.get(carrier)?.connection ?? null);
  }

  /** The one to which the session is moving: whether the server has followed is not known. */
  get next(): ControlConnection | null {
    const { mover } = this.#race;
    return mover === null ? null : (this.#entries.get(mover)?.connection ?? null);
  }

  start(): void {
    this.#failures = 0;
    this.#finalError = null;
    this.#race.start(this.#clock.now());
    this.#run();
  }

  /** The network is another one: better carriers are tried now. */
  retry(): void {
    this.#race.retry(this.#clock.now());
    this.#run();
  }

  /** Moves to another connection, of any carrier, while the present one goes on. */
  leave(): void {
    this.#race.leave(this.#clock.now());
    this.#run();
  }

  /** The server took the present connection. */
  welcomed(): void {
    const { carrier } = this.#race;
    if (carrier !== null) this.#race.welcomed(carrier, this.#clock.now());
    this.#run();
  }

  /** A ping was answered on the present connection. */
  roundTrip(): void {
    this.#race.roundTrip(this.#clock.now());
    this.#run();
  }

  /** Gives the present connection up. */
  drop(close: TunnelClose): void {
    const { carrier } = this.#race;
    if (carrier === null) return;
    this.#entries.get(carrier)?.connection.close(close.wire, close.reason);
    this.#closed(carrier, close);
  }

  /** No event follows. Idempotent. */
  close(wire: number, reason: string): void {
    this.#ended = true;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    for (const { connection } of this.#entries.values()) connection.close(wire, reason);
    this.#entries.clear();
  }

  #run(): void {
    if (this.#running || this.#ended) return;
    this.#running = true;
    for (;;) {
      const action = this.#race.nextAction(this.#clock.now());
      if (action === null || this.#isEnded()) break;
      this.#act(action);
    }
    this.#running = false;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
    const at = this.#race.nextTimeout();
    if (at === null || this.#ended) return;
    this.#timer = this.#clock.setTimer(
      () => {
        this.#timer = null;
        this.#race.handleTimeout(this.#clock.now());
        this.#run();
      },
      Math.max(0, at - this.#clock.now()),
    );
  }

  #act(action: RaceAction): void {
    switch (action.type) {
      case 'connect':
        this.#connect(action.id, action.rung);
        return;
      case 'lost':
        this.#events.lost(this.#lastClose);
        return;
      case 'exhausted':
        if (this.#finalError === null) this.#events.exhausted(this.#lastClose);
        else this.#end({ error: this.#finalError }, this.#lastClose);
        return;
      case 'stay':
        this.#events.cancelMove();
        return;
      case 'attempt':
        this.#tell(action);
        return;
    }
    const entry = this.#entries.get(action.id);
    if (entry === undefined) return;
    const { connection } = entry;
    switch (action.type) {
      case 'probe': {
        const now = this.#clock.now();
        entry.probedAt = now;
        connection.sendControl(encodeControlFrame({ type: 'ping', id: probeId, time: Math.floor(now) >>> 0 }));
        return;
      }
      case 'bind':
        this.#events.bind(connection);
        return;
      case 'move':
        connection.sendControl(this.#events.beginMove());
        return;
      case 'close':
        this.#entries.delete(action.id);
        connection.close(closeCodes.normal.wire, 'another connection is used');
        return;
    }
  }

  #connect(id: number, rung: ControlRung): void {
    const open = this.#openers.get(rung);
    if (open === undefined) throw new Error(`no carrier for ${rung}`);
    const connection = open({
      opened: () => {
        const entry = this.#entries.get(id);
        if (entry !== undefined) entry.opened = true;
        this.#race.opened(id, this.#clock.now());
        this.#run();
      },
      frame: (frame) => {
        this.#frame(id, frame);
      },
      messageEnd: () => {
        if (id === this.#race.carrier) this.#events.messageEnd();
      },
      dropped: (meta) => {
        this.#events.dropped(meta);
      },
      closed: (close) => {
        this.#closed(id, close);
      },
    });
    this.#entries.set(id, { rung, connection, opened: false, probedAt: 0 });
  }

  #frame(id: number, bytes: Uint8Array): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    if (id === this.#race.carrier) {
      this.#events.frame(entry.connection, bytes);
      return;
    }
    const type = bytes[0];
    if (type !== controlType.pong && type !== controlType.welcome && type !== controlType.close) return;
    const frame = decodeControlFrame(bytes);
    if (typeof frame === 'string') return;
    const now = this.#clock.now();
    if (frame.type === 'pong' && frame.id === probeId) {
      this.#race.proved(id, now - entry.probedAt, now);
    } else if (frame.type === 'close') {
      entry.connection.close(frame.wire, '');
      this.#closed(id, { wire: frame.wire, reason: frame.reason });
      return;
    } else if (frame.type === 'welcome') {
      this.#race.welcomed(id, now);
      if (id === this.#race.carrier) this.#events.moved(entry.connection, bytes);
    }
    this.#run();
  }

  #closed(id: number, close: TunnelClose): void {
    const entry = this.#entries.get(id);
    if (entry === undefined || this.#ended) return;
    this.#entries.delete(id);
    const now = this.#clock.now();
    const isPresent = id === this.#race.carrier;
    const error = errorOf(entry, close);
    this.#failures++;
    this.#lastClose = error === undefined ? close : { ...close, error };
    const end = this.#endOf(close, isPresent, now);
    if (end !== null) {
      this.#end(end, close);
      return;
    }
    if (this.#failures === 1) this.#finalError = close.final === true ? (error ?? null) : null;
    else if (close.final !== true) this.#finalError = null;
    const reason = error?.code ?? closeCodeOf(close.wire) ?? (close.reason === '' ? String(close.wire) : close.reason);
    this.#race.failed(id, reason, error?.code === 'buffered', now);
    this.#run();
  }

  /** Null unless this close ends the session. */
  #endOf(close: TunnelClose, isPresent: boolean, now: number): SessionEnd | null {
    // While another connection works, its word counts.
    if (!isPresent && this.#race.carrier !== null) return null;
    if (close.final === true) {
      const { error } = close;
      if (error === undefined || error.code === 'upgrade-stripped') return null;
      return error.serverCode !== undefined || error.code.startsWith('certificate-') ? { error } : null;
    }
    if (closeCodeOf(close.wire) === 'replaced' && (!isPresent || this.#race.mayHaveMoved(now))) return null;
    return endOfClose(close.wire, close.reason);
  }

  #end(end: SessionEnd, close: TunnelClose): void {
    this.close(close.wire, close.reason);
    this.#events.ended(end, close);
  }

  #tell({ id, rung, outcome, ms, reason }: RaceAction & { readonly type: 'attempt' }): void {
    // It would have been told apart from one that is merely slow in a second.
    const suspicion = outcome === 'superseded' ? (this.#entries.get(id)?.connection.suspicion ?? null) : null;
    const told = suspicion ?? reason;
    this.#events.attempt({
      rung,
      outcome: suspicion === null ? outcome : 'failed',
      ms,
      ...(told === null ? {} : { reason: told }),
    });
  }

  /** A listener may have closed while actions are taken. */
  #isEnded(): boolean {
    return this.#ended;
  }
}

/** What is known of why a connection failed. */
function errorOf({ rung, opened }: Entry, { error, status }: TunnelClose): ClientError | undefined {
  const isStripped = rung === 'websocket' && !opened && status !== undefined && strippedStatuses.includes(status);
  if (!isStripped || error?.serverCode !== undefined) return error;
  return new ClientError('upgrade-stripped', { detail: `HTTP ${String(status)}`, cause: error });
}
