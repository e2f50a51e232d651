/**
 * A connection of the tunnel with a second one beside it for audio, which then never waits for video that TCP sends
 * again. The second one is there while media goes by the tunnel. It is a convenience: without it, and whenever it does not
 * deliver, audio goes on the first.
 */
import { classifyDatagram, datagramClass, lane } from '../../tunnel-protocol/index.ts';
import type { SendMeta } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import type { ClientErrorCode } from '../errors.ts';
import type { ControlConnection, ControlConnectionEvents } from './control-connection.ts';
import type { TunnelConnection } from './tunnel-connection.ts';

export const audioConnectionLimits = {
  /** What is not credited for so long is stuck: audio goes on the first connection meanwhile, … */
  stuckMs: 600,
  /** … and after this the second one is given up and made anew. */
  giveUpMs: 5_000,
  /** After a failure it is tried again: soon, then ever more seldom. */
  firstRetryMs: 1_000,
  maxRetryMs: 60_000,
  /** Media that was not on this tunnel for so long goes another way. */
  idleMs: 30_000,
} as const;

export type OpenTunnelConnection = (events: ControlConnectionEvents) => TunnelConnection;

export interface SplitConnectionOptions {
  readonly openMain: OpenTunnelConnection;
  readonly openAudio: OpenTunnelConnection;
  readonly clock: ClientClock;
}

export class SplitConnection implements ControlConnection {
  readonly rung = 'websocket';
  readonly #options: SplitConnectionOptions;
  readonly #events: ControlConnectionEvents;
  readonly #main: TunnelConnection;
  #audio: TunnelConnection | null = null;
  /** To make it again, or while it is there, to see whether it is needed. */
  #timer: unknown = null;
  #credits = false;
  #mediaAt = -Infinity;
  #failures = 0;
  #ended = false;

  constructor(options: SplitConnectionOptions, events: ControlConnectionEvents) {
    this.#options = options;
    this.#events = events;
    this.#main = options.openMain({
      opened: () => {
        events.opened();
      },
      frame: (frame) => {
        this.#noteMedia(frame);
        events.frame(frame);
      },
      messageEnd: () => {
        events.messageEnd();
      },
      dropped: (meta) => {
        events.dropped(meta);
      },
      closed: (close) => {
        this.#end();
        events.closed(close);
      },
    });
  }

  get open(): boolean {
    return this.#main.open;
  }

  get suspicion(): ClientErrorCode | null {
    return this.#main.suspicion;
  }

  /** Video is what a rate is needed for. */
  get deliveryRate(): number | null {
    return this.#main.deliveryRate;
  }

  /** The server is one that credits, and this connection the one that it holds for the session's. */
  agreeOnCredits(): void {
    this.#main.agreeOnCredits();
    this.#credits = true;
  }

  sendControl(frame: Uint8Array): void {
    this.#main.sendControl(frame);
  }

  sendDatagram(datagram: Uint8Array, meta: SendMeta): boolean {
    this.#noteMedia(datagram);
    const audio = meta.lane === lane.audio ? this.#audio : null;
    if (audio === null) return this.#main.sendDatagram(datagram, meta);
    const stuckMs = audio.stuckMs;
    if (stuckMs > audioConnectionLimits.giveUpMs) {
      audio.close(1000, 'stuck');
      this.#audioLost();
    } else if (stuckMs < audioConnectionLimits.stuckMs && audio.sendDatagram(datagram, meta)) {
      return true;
    }
    return this.#main.sendDatagram(datagram, meta);
  }

  close(wire: number, reason: string): void {
    this.#end();
    this.#main.close(wire, reason);
  }

  /** Runs for every datagram. */
  #noteMedia(datagram: Uint8Array): void {
    if (!this.#credits) return;
    const kind = classifyDatagram(datagram);
    if (kind !== datagramClass.rtp && kind !== datagramClass.dtls) return;
    this.#mediaAt = this.#options.clock.now();
    if (this.#audio === null && this.#timer === null && !this.#ended) this.#openAudio();
  }

  #openAudio(): void {
    const audio = this.#options.openAudio({
      opened: () => {
        this.#failures = 0;
        audio.agreeOnCredits();
      },
      frame: (frame) => {
        // It belongs to the other connection's control channel, and has none.
        if (classifyDatagram(frame) !== datagramClass.control) this.#events.frame(frame);
      },
      messageEnd: () => {
        this.#events.messageEnd();
      },
      dropped: (meta) => {
        this.#events.dropped(meta);
      },
      closed: () => {
        this.#audioLost();
      },
    });
    this.#audio = audio;
    this.#watch(audioConnectionLimits.idleMs);
  }

  #watch(afterMs: number): void {
    this.#setTimer(afterMs, () => {
      const leftMs = this.#mediaAt + audioConnectionLimits.idleMs - this.#options.clock.now();
      if (leftMs > 0) {
        this.#watch(leftMs);
        return;
      }
      this.#audio?.close(1000, 'not needed');
      this.#audio = null;
    });
  }

  #setTimer(afterMs: number, run: () => void): void {
    const { clock } = this.#options;
    if (this.#timer !== null) clock.clearTimer(this.#timer);
    this.#timer = clock.setTimer(() => {
      this.#timer = null;
      run();
    }, afterMs);
  }

  #audioLost(): void {
    this.#audio = null;
    if (this.#ended) return;
    const { firstRetryMs, maxRetryMs } = audioConnectionLimits;
    const wait = Math.min(maxRetryMs, firstRetryMs * 2 ** this.#failures++);
    this.#setTimer(wait, () => {
      if (this.#mediaAt + audioConnectionLimits.idleMs > this.#options.clock.now()) this.#openAudio();
    });
  }

  #end(): void {
    this.#ended = true;
    if (this.#timer !== null) this.#options.clock.clearTimer(this.#timer);
    this.#timer = null;
    this.#audio?.close(1000, '');
    this.#audio = null;
  }
}
