/**
 * One end of a session's control channel, sans-I/O: it outlives connections and loses no message between them.
 * Feed it `connected`, `disconnected` and `handle`; after each call drain `nextEvent` and `nextOutput`, and wake it by
 * `handleTimeout` at `nextTimeout`. All times are milliseconds of one monotonic clock of the caller's. Long because what it
 * sends next depends on all that it holds; what it holds stands in files of its own.
 */
import type { AfterClose, CloseCode } from './close-codes.ts';
import { afterClose, closeCodeOf, closeCodes } from './close-codes.ts';
import type { ControlFrame, IgnorableFrame, PathReport } from './control-frames.ts';
import { clipReason, decodeControlFrame, encodeControlFrame, reportFlag } from './control-frames.ts';
import type { ControlError, ControlErrorReason } from './errors.ts';
import { controlError } from './errors.ts';
import { KeepAlive } from './keep-alive.ts';
import type { RoundTrip } from './keep-alive.ts';
import { controlLimits, controlVersion, oldestControlVersion } from './limits.ts';
import type { ReceivedMessage } from './reliable-receiver.ts';
import { ReliableReceiver } from './reliable-receiver.ts';
import { ReliableSender } from './reliable-sender.ts';

export type ControlRole = 'client' | 'server';

export interface ControlEndpointOptions {
  readonly role: ControlRole;
  readonly now: number;
  /** Server: told to the client in `welcome`. Unsigned 32 bits. Default 0. */
  readonly epoch?: number;
  /** Capability bits of this end, 16 bits; the events tell those that both ends have. Default none. */
  readonly capabilities?: number;
  /** 0: never ping. Default 5000 for a client, 0 for a server. */
  readonly pingIntervalMs?: number;
  readonly silentAfterMs?: number;
}

export type ControlEvent =
  /** Server: the client opened this connection. */
  | { readonly type: 'open'; readonly version: number; readonly capabilities: number }
  /** Client: the server took this connection. */
  | { readonly type: 'welcome'; readonly epoch: number; readonly version: number; readonly capabilities: number }
  | { readonly type: 'message'; readonly text: string }
  | ({ readonly type: 'round-trip' } & RoundTrip)
  | { readonly type: 'drain'; readonly retryAfterMs: number; readonly spreadMs: number; readonly where: string }
  /** Client: where else the session can be served, from now on. */
  | { readonly type: 'edges'; readonly edges: readonly string[] }
  /** How the peer fares on the media path; `wantsAnswer`: it asks for this end's report. */
  | { readonly type: 'report'; readonly report: PathReport; readonly wantsAnswer: boolean }
  /** No frame came for `silentAfterMs`: give the connection up. Once per connection. */
  | { readonly type: 'silent' }
  /** The peer closed. `code` is null for a number outside the catalogue; `then` is known for every number. */
  | {
      readonly type: 'close';
      readonly code: CloseCode | null;
      readonly wire: number;
      readonly then: AfterClose;
      readonly reason: string;
    };

interface Closing {
  readonly wire: number;
  readonly reason: string;
  /** Sent then at the latest, whatever is still queued. */
  readonly by: number;
}

interface QueuedMessage {
  readonly type: 'message';
  readonly message: ReceivedMessage;
}

const utf8 = new TextEncoder();

/** The memory in which short texts are encoded: `encode` makes memory for each, which takes longer than the bytes. */
const scratch = new Uint8Array(3 * 256);

function encodeText(text: string): Uint8Array {
  // A UTF-16 unit becomes three bytes at most.
  if (text.length * 3 > scratch.length) return utf8.encode(text);
  return scratch.slice(0, utf8.encodeInto(text, scratch).written);
}

type Phase = 'none' | 'opening' | 'open' | 'closed';

export class ControlEndpoint {
  /** Server: settable, the next `welcome` carries it. Client: what the last `welcome` told. */
  epoch: number;
  readonly #role: ControlRole;
  readonly #capabilities: number;
  readonly #sender = new ReliableSender();
  readonly #receiver = new ReliableReceiver();
  readonly #keepAlive: KeepAlive;
  #events: (Exclude<ControlEvent, { type: 'message' }> | QueuedMessage)[] = [];
  #phase: Phase = 'none';
  #version = controlVersion;
  #sharedCapabilities = 0;
  #everOpen = false;
  #helloDue = false;
  /** By when what was taken is to be acknowledged; null when all of it is. */
  #ackBy: number | null = null;
  /** When a frame came last. */
  #heardAt = 0;
  #moving = false;
  #drainDue: ControlFrame | null = null;
  #reportDue: ControlFrame | null = null;
  #failure: ControlError | null = null;
  #closing: Closing | null = null;
  #disconnectedAt: number | null;
  #ignoredFrames = 0;

  constructor(options: ControlEndpointOptions) {
    this.epoch = options.epoch ?? 0;
    this.#role = options.role;
    this.#capabilities = options.capabilities ?? 0;
    this.#disconnectedAt = options.now;
    const pingIntervalMs = options.pingIntervalMs ?? (options.role === 'client' ? controlLimits.pingIntervalMs : 0);
    this.#keepAlive = new KeepAlive(pingIntervalMs, options.silentAfterMs ?? controlLimits.silentAfterMs);
  }

  /** Since when there is no connection; null while there is one. */
  get disconnectedAt(): number | null {
    return this.#disconnectedAt;
  }

  /** True between the handshake of a connection and its end. */
  get open(): boolean {
    return this.#phase === 'open' && this.#failure === null;
  }

  /** Payload bytes of this end's messages that the peer has not acknowledged. */
  get queuedBytes(): number {
    return this.#sender.queuedBytes;
  }

  /** When the oldest message not acknowledged was sent; null when all are. */
  get oldestUnackedAt(): number | null {
    return this.#sender.oldestQueuedAt;
  }

  /** Payload bytes of the peer's messages that this application has not taken. */
  get heldBytes(): number {
    return this.#receiver.heldBytes;
  }

  /** Unknown but ignorable frames; fragments that came or went again after a connection was lost. */
  get counters(): {
    readonly ignoredFrames: number;
    readonly duplicateFragments: number;
    readonly resentFragments: number;
  } {
    return {
      ignoredFrames: this.#ignoredFrames,
      duplicateFragments: this.#receiver.duplicateFragments,
      resentFragments: this.#sender.resentFragments,
    };
  }

  /** A new connection of this session is up; it replaces the one before, if that was not yet reported lost. */
  connected(now: number): void {
    this.#reset('opening');
    // What was to be said of the connection before, its silence for one, must not be taken for this one's.
    this.#events = this.#events.filter((event) => event.type === 'message');
    this.#disconnectedAt = null;
    this.#helloDue = this.#role === 'client';
    this.#sender.restart();
    this.#keepAlive.start(now);
  }

  /** The connection is gone. Messages wait for the next one. */
  disconnected(now: number): void {
    this.#reset('none');
    this.#disconnectedAt ??= now;
  }

  /**
   * Client: the `open` for another connection, while the present one goes on. Its `welcome` completes the move: call
   * `moved`, then `handle` it. Acknowledgements wait meanwhile, for the server must hear no more of them on the one
   * connection than `open` tells on the other.
   */
  beginMove(): Uint8Array {
    this.#moving = true;
    return encodeControlFrame(this.#helloFrame());
  }

  /** The other connection failed, or is not wanted any more: all goes on as before. */
  cancelMove(): void {
    this.#moving = false;
  }

  /** The other connection is the present one now, and its `welcome` follows. */
  moved(now: number): void {
    this.connected(now);
    this.#helloDue = false;
    // Of what came since `open` was made; it is sent again now, as duplicates.
    this.#ackBy = now;
  }

  /** Queues one reliable message, connection or not. False, and nothing queued, when empty or over a limit. */
  send(text: string, now: number): boolean {
    if (text.length > controlLimits.maxMessageBytes) return false;
    return this.#sender.enqueue(encodeText(text), now);
  }

  /** Server: tells the client to move to another edge after `retryAfterMs` plus a random part of `spreadMs`. */
  drain(retryAfterMs: number, spreadMs: number): void {
    if (this.#role !== 'server') throw new Error('Only a server drains');
    if (this.#phase === 'opening' || this.#phase === 'open') {
      this.#drainDue = { type: 'drain', retryAfterMs, spreadMs };
    }
  }

  /**
   * Sends a report on the present connection, ahead of messages, or never: it waits for no connection, and a later one takes
   * its place.
   */
  report(report: PathReport, wantsAnswer: boolean): void {
    if (this.#phase !== 'open') return;
    this.#reportDue = { type: 'report', flags: wantsAnswer ? reportFlag.answer : 0, ...report };
  }

  /**
   * Ends this connection with a `close` frame, after the messages sent before it, for which it waits `graceMs` at most;
   * 0 sends it next. The reason is cut to 123 bytes. Without a connection, or after the first call, it does nothing.
   */
  close(code: CloseCode, reason: string, now: number, graceMs: number = controlLimits.closeGraceMs): void {
    if (this.#closing !== null || this.#phase === 'none') return;
    this.#closing = { wire: closeCodes[code].wire, reason: clipReason(reason), by: now + graceMs };
  }

  /**
   * One control frame of the current connection, borrowed. An error is final for this connection: send what
   * `nextOutput` still gives, which is the `close` frame, and end the connection with the same code.
   * Frames after the end of a connection are ignored.
   */
  handle(frame: Uint8Array, now: number): ControlError | null {
    if (this.#failure !== null) return this.#failure;
    if (this.#phase === 'none' || this.#phase === 'closed') return null;
    const decoded = decodeControlFrame(frame);
    if (typeof decoded === 'string') return this.#fail(decoded);
    this.#heardAt = now;
    this.#keepAlive.heard(now);
    const reason = this.#apply(decoded, now);
    return reason === null ? null : this.#fail(reason);
  }

  /** The next frame to send on the current connection, given away; null when there is none. */
  nextOutput(now: number): Uint8Array | null {
    const frame = this.#nextFrame(now);
    if (frame === null) return null;
    // What leaves anyway takes the acknowledgement along.
    if (this.#ackBy !== null) this.#ackBy = Math.min(this.#ackBy, now);
    return encodeControlFrame(frame);
  }

  /** The next event, null when there is none. Taking a message is what acknowledges it, alone or with others a little later. */
  nextEvent(): ControlEvent | null {
    const event = this.#events.shift();
    if (event?.type !== 'message') return event ?? null;
    this.#receiver.apply(event.message);
    this.#ackBy ??= this.#heardAt + controlLimits.ackDelayMs;
    if (this.#receiver.unackedBytes >= controlLimits.ackAtBytes) this.#ackBy = this.#heardAt;
    else if (this.#receiver.unackedFragments >= controlLimits.ackAtFragments) this.#ackBy = this.#heardAt;
    return { type: 'message', text: event.message.text };
  }

  /**
   * When `handleTimeout` is due; null when nothing is. Timers: next ping, silence, an acknowledgement that found nothing to
   * ride with, the latest moment of `close`.
   */
  nextTimeout(): number | null {
    const ackAt = this.#phase === 'open' && !this.#moving ? this.#ackBy : null;
    const closeAt = this.#phase === 'closed' ? null : (this.#closing?.by ?? null);
    const at = Math.min(this.#keepAlive.nextTimeout() ?? Infinity, ackAt ?? Infinity, closeAt ?? Infinity);
    return at === Infinity ? null : at;
  }

  handleTimeout(now: number): void {
    if (this.#keepAlive.handleTimeout(now)) this.#events.push({ type: 'silent' });
  }

  #reset(phase: Phase): void {
    this.#phase = phase;
    this.#helloDue = false;
    this.#ackBy = null;
    this.#moving = false;
    this.#drainDue = null;
    this.#reportDue = null;
    this.#failure = null;
    this.#closing = null;
    this.#keepAlive.stop();
  }

  #fail(reason: ControlErrorReason): ControlError {
    this.#failure = controlError(reason);
    return this.#failure;
  }

  #apply(frame: ControlFrame | IgnorableFrame, now: number): ControlErrorReason | null {
    if (this.#events.length >= controlLimits.maxPendingEvents) return 'queue-full';
    switch (frame.type) {
      case 'ignorable':
      // Whoever ends the connection takes credits; on one that knows none, they mean nothing.
      case 'credit':
        this.#ignoredFrames += 1;
        return null;
      case 'report':
        if (this.#phase === 'open') {
          const wantsAnswer = (frame.flags & reportFlag.answer) !== 0;
          this.#events.push({ type: 'report', report: frame, wantsAnswer });
        } else this.#ignoredFrames += 1;
        return null;
      case 'edges':
        // Of the edge, which does not see when the SFU node answers `open`.
        if (this.#role === 'client') this.#events.push({ type: 'edges', edges: frame.edges });
        else this.#ignoredFrames += 1;
        return null;
      case 'close':
        this.#events.push({
          type: 'close',
          code: closeCodeOf(frame.wire),
          wire: frame.wire,
          then: afterClose(frame.wire),
          reason: frame.reason,
        });
        this.#end();
        return null;
      case 'open':
      case 'welcome':
        return this.#handshake(frame, now);
    }
    if (this.#phase !== 'open') return 'not-open';
    switch (frame.type) {
      case 'signal': {
        const message = this.#receiver.receive(frame);
        if (message === null || typeof message === 'string') return message;
        this.#events.push({ type: 'message', message });
        return null;
      }
      case 'ack':
        return this.#sender.acknowledge(frame.sequence);
      case 'ping':
        this.#keepAlive.handlePing(frame);
        return null;
      case 'pong': {
        const roundTrip = this.#keepAlive.handlePong(frame, now);
        if (roundTrip !== null) this.#events.push({ type: 'round-trip', ...roundTrip });
        return null;
      }
      case 'drain':
        if (this.#role === 'server') return 'unexpected';
        this.#events.push({
          type: 'drain',
          retryAfterMs: frame.retryAfterMs,
          spreadMs: frame.spreadMs,
          where: frame.where ?? '',
        });
        return null;
    }
  }

  #handshake(frame: Extract<ControlFrame, { type: 'open' | 'welcome' }>, now: number): ControlErrorReason | null {
    const expected = this.#role === 'server' ? 'open' : 'welcome';
    if (frame.type !== expected || this.#phase !== 'opening' || this.#helloDue) return 'unexpected';
    if (frame.version < oldestControlVersion) return 'version-unsupported';
    if (frame.type === 'welcome' && frame.version > controlVersion) return 'version-unsupported';
    const reason = this.#sender.resumeAfter(frame.lastReceived);
    if (reason !== null) return reason;
    this.#version = Math.min(frame.version, controlVersion);
    this.#sharedCapabilities = frame.capabilities & this.#capabilities;
    this.#phase = 'open';
    this.#everOpen = true;
    this.#keepAlive.startPings(now);
    const agreed = { version: this.#version, capabilities: this.#sharedCapabilities };
    if (frame.type === 'open') {
      this.#helloDue = true;
      this.#events.push({ type: 'open', ...agreed });
    } else {
      this.epoch = frame.epoch;
      this.#events.push({ type: 'welcome', epoch: frame.epoch, ...agreed });
    }
    return null;
  }

  /** The order is the priority: what keeps the connection alive never waits for messages. */
  #nextFrame(now: number): ControlFrame | null {
    if (this.#phase === 'none' || this.#phase === 'closed') return null;
    if (this.#failure !== null) return this.#lastFrame(closeCodes[this.#failure.close].wire, this.#failure.sentence);
    const closing = this.#closing;
    if (closing !== null && (this.#phase === 'opening' || now >= closing.by)) {
      return this.#lastFrame(closing.wire, closing.reason);
    }
    if (this.#helloDue) return this.#hello();
    if (this.#phase === 'opening') return this.#mayAnticipateWelcome() ? this.#sender.take() : null;
    const pong = this.#keepAlive.takePong(now);
    if (pong !== null) return pong;
    if (this.#ackBy !== null && now >= this.#ackBy && !this.#moving) {
      this.#ackBy = null;
      return { type: 'ack', sequence: this.#receiver.acknowledge() };
    }
    const ping = this.#keepAlive.takePing(now);
    if (ping !== null) return ping;
    const drain = this.#drainDue;
    if (drain !== null) {
      this.#drainDue = null;
      return drain;
    }
    const report = this.#reportDue;
    if (report !== null) {
      this.#reportDue = null;
      return report;
    }
    const fragment = this.#sender.take();
    if (fragment !== null || closing === null || !this.#sender.allSent) return fragment;
    return this.#lastFrame(closing.wire, closing.reason);
  }

  #hello(): ControlFrame {
    this.#helloDue = false;
    if (this.#role === 'server') this.#ackBy = null;
    return this.#helloFrame();
  }

  #helloFrame(): ControlFrame {
    const lastReceived = this.#receiver.acknowledge();
    if (this.#role === 'client') {
      return { type: 'open', version: controlVersion, capabilities: this.#capabilities, lastReceived };
    }
    const capabilities = this.#sharedCapabilities;
    return { type: 'welcome', version: this.#version, capabilities, lastReceived, epoch: this.epoch };
  }

  /**
   * The first messages of a session go right behind `open`, which saves the join a round trip. Later connections wait
   * for `welcome`, which tells how much the server has already.
   */
  #mayAnticipateWelcome(): boolean {
    return this.#role === 'client' && !this.#everOpen;
  }

  #lastFrame(wire: number, reason: string): ControlFrame {
    this.#end();
    return { type: 'close', wire, reason };
  }

  #end(): void {
    this.#phase = 'closed';
    this.#keepAlive.stop();
  }
}
