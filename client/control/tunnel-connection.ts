/**
 * A connection of the tunnel by WebSocket: all that is sent within a task goes in one message, and no more is in flight
 * than the server's credits allow.
 */
import {
  TunnelFlow,
  controlType,
  fitsFrame,
  forEachFrame,
  frameHeaderBytes,
  lane,
} from '../../tunnel-protocol/index.ts';
import type { FlowLimits, SendMeta } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import { ClientError } from '../errors.ts';
import type { ControlConnection, ControlConnectionEvents } from './control-connection.ts';
import type { TunnelClose, TunnelSocket } from './tunnel-socket.ts';

export const connectionLimits = {
  connectTimeoutMs: 10_000,
  /** A TLS record takes 16 KiB, and the head of a longer message only waits for its tail. */
  messageBytes: 16_384,
  /** What the socket holds can no longer be overtaken or dropped: above this it gets no more. */
  socketHighWaterBytes: 65_536,
  /** A socket that is full is looked at again after so long. */
  fullSocketMs: 10,
} as const;

const controlMeta: SendMeta = { lane: lane.control, frameId: 0, keyFrame: false, discardable: false, deadlineMs: 0 };

export class TunnelConnection implements ControlConnection {
  readonly rung = 'websocket';
  readonly suspicion = null;
  readonly #socket: TunnelSocket;
  readonly #clock: ClientClock;
  readonly #events: ControlConnectionEvents;
  readonly #flow: TunnelFlow;
  readonly #flush = (): void => {
    this.#flushQueued = false;
    this.flush();
  };
  readonly #wake = (): void => {
    this.#wakeTimer = null;
    this.flush();
  };
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  #flushQueued = false;
  #connectTimer: unknown;
  #wakeTimer: unknown = null;
  /** Bytes of the frames of this message, lengths included, that are credited. */
  #creditableBytes = 0;

  constructor(
    socket: TunnelSocket,
    clock: ClientClock,
    events: ControlConnectionEvents,
    limits: Partial<FlowLimits> = {},
  ) {
    this.#socket = socket;
    this.#clock = clock;
    this.#events = events;
    this.#flow = new TunnelFlow({
      now: clock.now(),
      messageBytes: connectionLimits.messageBytes,
      limits,
      onDrop: (meta) => {
        events.dropped(meta);
      },
    });
    this.#connectTimer = clock.setTimer(() => {
      this.#lose({
        wire: 1006,
        reason: '',
        error: new ClientError('edge-unreachable', { detail: 'the WebSocket did not open in time' }),
      });
    }, connectionLimits.connectTimeoutMs);
    socket.onopen = () => {
      this.#opened();
    };
    socket.onmessage = (message) => {
      this.#receive(message);
    };
    socket.onclose = (close) => {
      if (this.#end()) events.closed(close);
    };
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** Bits per second that the connection delivers, where that is less than what was to be sent lately; else null. */
  get deliveryRate(): number | null {
    return this.#flow.rateLimit(this.#clock.now());
  }

  /** For how long what is on its way was not credited, in ms; 0 when nothing is. Grows only where credits are agreed on. */
  get stuckMs(): number {
    const { uncreditedSince } = this.#flow;
    return uncreditedSince === null ? 0 : this.#clock.now() - uncreditedSince;
  }

  /** The server has said, as this side has, that it credits what it receives. */
  agreeOnCredits(): void {
    this.#flow.agree();
  }

  /** A control frame: never dropped while the connection lives. Given away. */
  sendControl(frame: Uint8Array): void {
    if (this.#state === 'open') this.#push(frame, controlMeta);
  }

  /** Copied. False when it was dropped: not open, or no frame takes it. */
  sendDatagram(datagram: Uint8Array, meta: SendMeta): boolean {
    if (this.#state !== 'open' || !fitsFrame(datagram)) return false;
    this.#push(datagram.slice(), meta);
    return true;
  }

  /** Writes what the socket and the server take. */
  flush(): void {
    if (this.#state !== 'open') return;
    const now = this.#clock.now();
    while (this.#socket.bufferedAmount < connectionLimits.socketHighWaterBytes) {
      const message = this.#flow.nextMessage(now);
      if (message === null) break;
      this.#socket.send(message);
    }
    this.#scheduleWake(now);
  }

  /** What was queued for the control channel is sent before. Idempotent. */
  close(wire: number, reason: string): void {
    this.#flow.end();
    this.flush();
    if (this.#end()) this.#socket.close(wire, reason);
  }

  #opened(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'open';
    this.#clock.clearTimer(this.#connectTimer);
    this.#events.opened();
  }

  #receive(message: Uint8Array): void {
    if (this.#state !== 'open') return;
    this.#creditableBytes = message.length;
    const error = forEachFrame(message, this.#onFrame);
    this.#events.messageEnd();
    if (error !== null) this.#lose({ wire: 4202, reason: error });
    if (!this.open) return;
    const now = this.#clock.now();
    this.#flow.received(this.#creditableBytes, now);
    if (this.#flow.wantsToSend(now)) this.#queueFlush();
    else this.#scheduleWake(now);
  }

  readonly #onFrame = (frame: Uint8Array): void => {
    // A frame before this one may have led the owner to close.
    if (this.#state !== 'open') return;
    if (frame[0] !== controlType.credit) {
      this.#events.frame(frame);
      return;
    }
    this.#creditableBytes -= frameHeaderBytes + frame.length;
    if (!this.#flow.credit(frame, this.#clock.now())) this.#lose({ wire: 4202, reason: 'a wrong credit' });
  };

  #push(frame: Uint8Array, meta: SendMeta): void {
    if (this.#flow.push(frame, meta, this.#clock.now())) this.#queueFlush();
    else this.#lose({ wire: 4102, reason: 'the server does not read' });
  }

  #queueFlush(): void {
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    queueMicrotask(this.#flush);
  }

  /** For a credit that finds nothing to ride with, and for a socket that is full: sockets do not tell when they drain. */
  #scheduleWake(now: number): void {
    if (this.#wakeTimer !== null || this.#state !== 'open') return;
    const isFull = !this.#flow.isEmpty && this.#socket.bufferedAmount >= connectionLimits.socketHighWaterBytes;
    const at = isFull ? now + connectionLimits.fullSocketMs : this.#flow.nextTimeout();
    if (at !== null) this.#wakeTimer = this.#clock.setTimer(this.#wake, Math.max(0, at - now));
  }

  #lose(close: TunnelClose): void {
    if (!this.#end()) return;
    this.#socket.close(close.wire === 1006 ? 1000 : close.wire, close.reason);
    this.#events.closed(close);
  }

  #end(): boolean {
    if (this.#state === 'closed') return false;
    this.#state = 'closed';
    this.#clock.clearTimer(this.#connectTimer);
    if (this.#wakeTimer !== null) this.#clock.clearTimer(this.#wakeTimer);
    this.#socket.onopen = null;
    this.#socket.onmessage = null;
    // The socket's last event, its errors too, still come: to nobody.
    this.#socket.onclose = null;
    return true;
  }
}
