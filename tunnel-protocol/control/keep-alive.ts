/** Pings, pongs and silence of one connection after another. Its two timers are the endpoint's, see `nextTimeout`. */
import type { ControlFrame } from './control-frames.ts';
import { DelayTrends } from './delay-trend.ts';
import type { DelayTrend } from './delay-trend.ts';

type PingFrame = Extract<ControlFrame, { type: 'ping' }>;
type PongFrame = Extract<ControlFrame, { type: 'pong' }>;

export interface RoundTrip {
  readonly ms: number;
  readonly trend: DelayTrend;
}

export class KeepAlive {
  readonly #pingIntervalMs: number;
  readonly #silentAfterMs: number;
  #pingAt: number | null = null;
  #silentAt: number | null = null;
  #pingDue = false;
  #lastPing = 0;
  #answeredPing = 0;
  #startedAt = 0;
  #trends = new DelayTrends();
  /** Only the newest ping is answered, so a flood of them costs one frame of memory. */
  #toAnswer: PingFrame | null = null;

  /** `pingIntervalMs` 0: never pings. */
  constructor(pingIntervalMs: number, silentAfterMs: number) {
    this.#pingIntervalMs = pingIntervalMs;
    this.#silentAfterMs = silentAfterMs;
  }

  start(now: number): void {
    this.stop();
    this.#startedAt = now;
    // Another connection may go another way.
    this.#trends = new DelayTrends();
    this.#silentAt = now + this.#silentAfterMs;
  }

  /** The handshake is done: the first ping goes at once, for an early round trip. */
  startPings(now: number): void {
    if (this.#pingIntervalMs > 0) this.#schedulePing(now);
  }

  stop(): void {
    this.#pingAt = null;
    this.#silentAt = null;
    this.#pingDue = false;
    this.#lastPing = 0;
    this.#answeredPing = 0;
    this.#toAnswer = null;
  }

  nextTimeout(): number | null {
    if (this.#pingAt === null || this.#silentAt === null) return this.#pingAt ?? this.#silentAt;
    return Math.min(this.#pingAt, this.#silentAt);
  }

  /** True when the connection has just become silent. */
  handleTimeout(now: number): boolean {
    if (this.#pingAt !== null && now >= this.#pingAt) this.#schedulePing(now);
    if (this.#silentAt === null || now < this.#silentAt) return false;
    this.#silentAt = null;
    return true;
  }

  /** A frame came. After silence was declared this changes nothing: the owner is replacing the connection. */
  heard(now: number): void {
    if (this.#silentAt !== null) this.#silentAt = now + this.#silentAfterMs;
  }

  handlePing(ping: PingFrame): void {
    this.#toAnswer = ping;
  }

  /** Null for a pong that answers nothing of this connection. */
  handlePong(pong: PongFrame, now: number): RoundTrip | null {
    if (pong.id <= this.#answeredPing || pong.id > this.#lastPing) return null;
    const received = clock32(now);
    const ms = (received - pong.echoedTime) >>> 0;
    if (ms > now - this.#startedAt + 1) return null;
    this.#answeredPing = pong.id;
    return { ms, trend: this.#trends.add(pong.echoedTime, pong.time, received) };
  }

  takePong(now: number): PongFrame | null {
    const ping = this.#toAnswer;
    if (ping === null) return null;
    this.#toAnswer = null;
    return { type: 'pong', id: ping.id, echoedTime: ping.time, time: clock32(now) };
  }

  takePing(now: number): PingFrame | null {
    if (!this.#pingDue) return null;
    this.#pingDue = false;
    this.#lastPing += 1;
    return { type: 'ping', id: this.#lastPing, time: clock32(now) };
  }

  #schedulePing(now: number): void {
    this.#pingDue = true;
    this.#pingAt = now + this.#pingIntervalMs;
  }
}

/** A clock of any origin as 32-bit milliseconds. */
function clock32(now: number): number {
  return Math.floor(now) >>> 0;
}
