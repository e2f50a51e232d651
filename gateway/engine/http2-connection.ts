/**
 * What is watched of one h2 connection: whether it is used, how often its client takes back what it asked for, and how
 * much it says that asks for nothing. Beyond this, Node's h2 itself ends connections over frames in the wrong place, more
 * than 8 CONTINUATION frames, and 1000 acknowledgements that the client leaves unread.
 */
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';

/** Without a stream, whatever pings come; browsers come again. */
const idleTimeoutMs = 120_000;
/**
 * Between pings of ours, and for the answer to one. A client that broke the protocol is told so by Node and then no longer
 * read from: nothing else would show that it is gone, or end its connection.
 */
const pingIntervalMs = 30_000;
/** For the streams that a connection still has when it is told to end. */
const endingTimeoutMs = 30_000;
/** Streams that a client resets before they are answered: so many at once, and so many more per second. */
const resetBurst = 100;
const resetsPerSecond = 20;
/** PING, SETTINGS and PRIORITY frames, which browsers send a few of; a ping costs more to answer than to send. */
const controlBurst = 200;
const controlsPerSecond = 20;

export class Http2Connection {
  readonly #session: ServerHttp2Session;
  #streams = 0;
  #quietSinceMs: number;
  #endingSinceMs: number | null = null;
  #pingedAtMs: number;
  #answered = true;
  readonly #resets: Allowance;
  readonly #controls: Allowance;
  readonly #control: () => void;

  constructor(session: ServerHttp2Session, now: number) {
    this.#session = session;
    this.#quietSinceMs = now;
    this.#pingedAtMs = now;
    this.#resets = new Allowance(resetBurst, resetsPerSecond, now);
    this.#controls = new Allowance(controlBurst, controlsPerSecond, now);
    this.#control = () => {
      if (!this.#controls.take(performance.now())) this.destroy(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    };
    session.on('ping', this.#control).on('remoteSettings', this.#control).on('priority', this.#control);
  }

  opened(stream: ServerHttp2Stream): void {
    this.#streams++;
    // Node tells the stream that a PRIORITY frame is for, and the session only where there is none.
    stream.on('priority', this.#control);
  }

  /**
   * Ends the connection of a client that opens streams only to reset them (CVE-2023-44487): each costs the server more
   * than the client, and none counts against the streams that may be open at once.
   */
  closed(stream: ServerHttp2Stream, now: number): void {
    this.#streams--;
    this.#quietSinceMs = now;
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR) return;
    if (!this.#resets.take(now)) this.destroy(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  /**
   * To be called every few seconds. Node's own time-out of a session is not for this: it goes on after the connection
   * has ended, and keeps the session in memory until then.
   */
  checkIdle(now: number): void {
    if (now - this.#pingedAtMs >= pingIntervalMs && !this.#ping(now)) {
      this.destroy(constants.NGHTTP2_NO_ERROR);
    } else if (this.#endingSinceMs !== null) {
      if (now - this.#endingSinceMs >= endingTimeoutMs) this.destroy(constants.NGHTTP2_NO_ERROR);
    } else if (this.#streams === 0 && now - this.#quietSinceMs >= idleTimeoutMs) {
      this.#endingSinceMs = now;
      this.#session.close();
    }
  }

  /** False: the one before was not answered. */
  #ping(now: number): boolean {
    if (!this.#answered || this.#session.destroyed) return false;
    this.#pingedAtMs = now;
    this.#answered = false;
    this.#session.ping((error: Error | null) => {
      if (error === null) this.#answered = true;
    });
    return true;
  }

  destroy(code: number): void {
    if (!this.#session.destroyed) this.#session.destroy(undefined, code);
  }
}

/** So many at once, and so many more per second. */
class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #atMs: number;

  constructor(burst: number, perSecond: number, now: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
    this.#atMs = now;
  }

  take(now: number): boolean {
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#atMs) * this.#perSecond) / 1000) - 1;
    this.#atMs = now;
    return this.#left >= 0;
  }
}
