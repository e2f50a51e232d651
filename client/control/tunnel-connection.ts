/**
 * One connection of the tunnel: frames in, frames out, all that is sent within a task in one message. It makes nothing
 * again when it is lost; that is its owner's.
 */
import {
  FrameBatch,
  classifyDatagram,
  datagramClass,
  fitsFrame,
  forEachFrame,
  isRtcp,
} from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import { ClientError } from '../errors.ts';
import type { TunnelClose, TunnelSocket } from './tunnel-socket.ts';

export interface TunnelConnectionEvents {
  opened(): void;
  /** Borrowed until the call returns. */
  frame(frame: Uint8Array): void;
  /** All frames of one message were delivered. */
  messageEnd(): void;
  /** Once; nothing follows. Not called for a `close()` of the owner's. */
  closed(close: TunnelClose): void;
}

const connectTimeoutMs = 10_000;
/** Above this, media is dropped rather than queued behind what is late already: half a second at 2 Mbit/s. */
const maxBufferedForMedia = 131_072;
/** Above this, other datagrams are dropped as well; those who sent them send them again. */
const maxBufferedBytes = 1_048_576;

export class TunnelConnection {
  readonly #socket: TunnelSocket;
  readonly #clock: ClientClock;
  readonly #events: TunnelConnectionEvents;
  readonly #batch = new FrameBatch();
  readonly #onFrame: (frame: Uint8Array) => void;
  readonly #flush = (): void => {
    this.#flushQueued = false;
    this.flush();
  };
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  #flushQueued = false;
  #connectTimer: unknown;

  constructor(socket: TunnelSocket, clock: ClientClock, events: TunnelConnectionEvents) {
    this.#socket = socket;
    this.#clock = clock;
    this.#events = events;
    this.#onFrame = (frame) => {
      // A frame before this one may have led the owner to close.
      if (this.#state === 'open') events.frame(frame);
    };
    this.#connectTimer = clock.setTimer(() => {
      this.#lose({
        wire: 1006,
        reason: '',
        error: new ClientError('edge-unreachable', { detail: 'the WebSocket did not open in time' }),
      });
    }, connectTimeoutMs);
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

  /** A control frame: never dropped while the connection lives. Copied. */
  sendControl(frame: Uint8Array): void {
    if (this.#state === 'open') this.#add(frame);
  }

  /** Copied. False when it was dropped: not open, too much buffered, or no frame takes it. */
  sendDatagram(datagram: Uint8Array): boolean {
    if (this.#state !== 'open' || !fitsFrame(datagram)) return false;
    const isMedia = classifyDatagram(datagram) === datagramClass.rtp && !isRtcp(datagram);
    if (this.#socket.bufferedAmount > (isMedia ? maxBufferedForMedia : maxBufferedBytes)) return false;
    this.#add(datagram);
    return true;
  }

  flush(): void {
    const message = this.#batch.take();
    if (message !== null && this.#state === 'open') this.#socket.send(message);
  }

  /** What was queued is sent before. Idempotent. */
  close(wire: number, reason: string): void {
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
    const error = forEachFrame(message, this.#onFrame);
    this.#events.messageEnd();
    if (error !== null) this.#lose({ wire: 4202, reason: error });
  }

  #add(frame: Uint8Array): void {
    if (!this.#batch.add(frame)) {
      this.flush();
      this.#batch.add(frame);
    }
    if (this.#flushQueued) return;
    this.#flushQueued = true;
    queueMicrotask(this.#flush);
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
    this.#socket.onopen = null;
    this.#socket.onmessage = null;
    // The socket's last event, its errors too, still come: to nobody.
    this.#socket.onclose = null;
    return true;
  }
}
