/**
 * The server's end of a session's control channel, beside the participant, and the connection that carries it right now.
 * Connections come and go; what was to be said is kept in the endpoint.
 */
import {
  ControlEndpoint,
  closeCodes,
  controlLimits,
  decodeControlFrame,
  encodeControlFrame,
  lane,
} from '../tunnel-protocol/index.ts';
import type { CloseCode, ControlError, Path, PathReport, SendMeta } from '../tunnel-protocol/index.ts';
import type { SfuCounters } from './counters.ts';

/** Connections of a session that have not sent `open`: a client tries all of its carriers at once. */
const maxCandidates = 4;

const controlMeta: SendMeta = { lane: lane.control, frameId: 0, keyFrame: false, discardable: false, deadlineMs: 0 };

/** What is counted here. */
export type ControlCounters = Pick<SfuCounters, 'reports_in' | 'reports_out' | 'control_dropped' | 'control_errors'>;

export interface ControlSessionEvents {
  /** A signalling message of the client. */
  onMessage(text: string): void;
  /** The client asks how its media path fares: what to answer, or null for nothing. */
  onReport(): PathReport | null;
  /** A connection finished its handshake: the client listens on it. */
  onOpen(): void;
  /** This connection carries the session from now on; `take` counts them. */
  onTaken(path: Path, take: number): void;
  /** A connection was given up from this end; the owner forgets the path. */
  onLost(path: Path): void;
  /** The session cannot go on: the peer left, or broke the protocol. The connection is closed already. */
  onEnded(reason: 'left' | 'protocol-error'): void;
}

export class ControlSession {
  readonly #endpoint: ControlEndpoint;
  readonly #events: ControlSessionEvents;
  readonly #counters: ControlCounters;
  #path: Path | null = null;
  /** Connections that may become the one, and when each was last heard. */
  readonly #candidates = new Map<Path, number>();
  #ended = false;
  #takes = 0;

  constructor(epoch: number, events: ControlSessionEvents, counters: ControlCounters, now: number) {
    this.#endpoint = new ControlEndpoint({ role: 'server', epoch, now });
    this.#events = events;
    this.#counters = counters;
  }

  /** The connection that carries the session now. */
  get path(): Path | null {
    return this.#path;
  }

  /** Since when there is none, in ms; null while there is one. */
  get disconnectedAt(): number | null {
    return this.#endpoint.disconnectedAt;
  }

  /** A new connection. It takes over the session with its `open`; the one before is closed with code `replaced` then. */
  attach(path: Path, now: number): void {
    if (path === this.#path || this.#candidates.has(path)) return;
    const [oldest] = this.#candidates.keys();
    if (oldest !== undefined && this.#candidates.size >= maxCandidates) this.#dropCandidate(oldest, 'replaced');
    this.#candidates.set(path, now);
  }

  /** The connection is gone. Nothing happens when it is not one of this session. */
  detach(path: Path, now: number): void {
    this.#candidates.delete(path);
    if (path !== this.#path) return;
    this.#path = null;
    this.#endpoint.disconnected(now);
  }

  /** One control frame of an attached connection, borrowed. */
  receive(path: Path, frame: Uint8Array, now: number): void {
    if (path !== this.#path && !this.#admit(path, frame, now)) return;
    const error = this.#endpoint.handle(frame, now);
    this.#drainEvents(now);
    if (error !== null) this.#fail(error, now);
    else this.#flush(now);
  }

  /** Queues one event, as text. False when the client has left more unacknowledged than it may. */
  send(event: string, now: number): boolean {
    return this.#endpoint.send(event, now);
  }

  /** Sends what is queued, as far as the connection takes it. Call after a run of `send`. */
  flush(now: number): void {
    this.#flush(now);
  }

  tick(now: number): void {
    for (const [path, heardAt] of this.#candidates) {
      if (now - heardAt >= controlLimits.silentAfterMs) this.#dropCandidate(path, 'idle');
    }
    const due = this.#endpoint.nextTimeout();
    if (due === null || due > now) return;
    this.#endpoint.handleTimeout(now);
    this.#drainEvents(now);
    this.#flush(now);
  }

  /** Says why, closes the connection, and says no more. */
  close(code: CloseCode, now: number): void {
    for (const path of [...this.#candidates.keys()]) this.#dropCandidate(path, code);
    if (this.#ended) return;
    this.#ended = true;
    if (this.#path === null) return;
    // What was queued goes first, as far as the window lets it.
    this.#endpoint.close(code, closeCodes[code].sentence, now);
    this.#flush(now);
    this.#endConnection(code, now + controlLimits.closeGraceMs);
  }

  /** A frame of a connection that has not taken over. True when it does with this one. */
  #admit(path: Path, bytes: Uint8Array, now: number): boolean {
    if (!this.#candidates.has(path) || this.#ended) return false;
    const frame = decodeControlFrame(bytes);
    if (typeof frame !== 'string' && frame.type === 'open') {
      this.#candidates.delete(path);
      this.#loseConnection('replaced', now);
      this.#path = path;
      this.#endpoint.connected(now);
      this.#events.onTaken(path, ++this.#takes);
      return true;
    }
    this.#candidates.set(path, now);
    if (typeof frame === 'string') this.#dropCandidate(path, 'protocol-error');
    else if (frame.type === 'ping') {
      const pong = { type: 'pong', id: frame.id, echoedTime: frame.time, time: Math.floor(now) >>> 0 } as const;
      if (!path.send(encodeControlFrame(pong), controlMeta)) this.#dropCandidate(path, 'slow-reader');
    } else if (frame.type === 'close') this.#dropCandidate(path, 'normal');
    else if (frame.type === 'signal' || frame.type === 'ack') this.#dropCandidate(path, 'not-open');
    return false;
  }

  #dropCandidate(path: Path, code: CloseCode): void {
    if (!this.#candidates.delete(path)) return;
    path.close(closeCodes[code].wire, closeCodes[code].sentence);
    this.#events.onLost(path);
  }

  #drainEvents(now: number): void {
    for (;;) {
      if (this.#ended) return;
      const event = this.#endpoint.nextEvent();
      if (event === null) return;
      if (event.type === 'message') this.#events.onMessage(event.text);
      else if (event.type === 'open') this.#events.onOpen();
      else if (event.type === 'report') this.#answerReport(event.wantsAnswer);
      else if (event.type === 'silent') this.#loseConnection('idle', now);
      else if (event.type === 'close') this.#closedByPeer(event.then === 'resume', now);
    }
  }

  #answerReport(wanted: boolean): void {
    this.#counters.reports_in++;
    const report = wanted ? this.#events.onReport() : null;
    if (report === null) return;
    this.#counters.reports_out++;
    this.#endpoint.report(report, false);
  }

  #flush(now: number): void {
    while (this.#path !== null) {
      const frame = this.#endpoint.nextOutput(now);
      if (frame === null) return;
      if (this.#path.send(frame, controlMeta)) continue;
      // A control frame may not be lost on a connection: the peer would see a gap.
      this.#counters.control_dropped++;
      this.#loseConnection('slow-reader', now);
    }
  }

  #closedByPeer(willResume: boolean, now: number): void {
    if (willResume) {
      this.#loseConnection('normal', now);
      return;
    }
    this.#ended = true;
    this.#endConnection('normal', now);
    this.#events.onEnded('left');
  }

  #fail(error: ControlError, now: number): void {
    if (this.#ended) return;
    this.#counters.control_errors++;
    this.#ended = true;
    this.#endConnection(error.close, now);
    this.#events.onEnded('protocol-error');
  }

  #loseConnection(code: CloseCode, now: number): void {
    const path = this.#path;
    if (path === null) return;
    this.#giveUp(code, now);
    this.#events.onLost(path);
  }

  /** Ends this connection at once, whatever still waits; the next one carries it. */
  #giveUp(code: CloseCode, now: number): void {
    this.#endpoint.close(code, closeCodes[code].sentence, now - controlLimits.closeGraceMs);
    this.#endConnection(code, now);
  }

  #endConnection(code: CloseCode, now: number): void {
    const path = this.#path;
    if (path === null) return;
    this.#path = null;
    for (let frame = this.#endpoint.nextOutput(now); frame !== null; frame = this.#endpoint.nextOutput(now)) {
      if (!path.send(frame, controlMeta)) break;
    }
    this.#endpoint.disconnected(now);
    path.close(closeCodes[code].wire, closeCodes[code].sentence);
  }
}
