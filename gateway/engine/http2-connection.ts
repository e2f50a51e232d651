/** What is watched of one h2 connection: whether it is used, and how often its client takes back what it asked for. */
import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';

/** Without a stream, whatever pings come; browsers come again. */
const idleTimeoutMs = 120_000;
/** For the streams that a connection still has when it is told to end. */
const endingTimeoutMs = 30_000;
/** Streams that a client resets before they are answered: so many at once, and so many more per second. */
const resetBurst = 100;
const resetsPerSecond = 20;

export class Http2Connection {
  readonly #session: ServerHttp2Session;
  #streams = 0;
  #quietSinceMs: number;
  #endingSinceMs: number | null = null;
  #resetsLeft = resetBurst;
  #resetAtMs: number;

  constructor(session: ServerHttp2Session, now: number) {
    this.#session = session;
    this.#quietSinceMs = now;
    this.#resetAtMs = now;
  }

  opened(): void {
    this.#streams++;
  }

  /**
   * Ends the connection of a client that opens streams only to reset them (CVE-2023-44487): each costs the server more
   * than the client, and none counts against the streams that may be open at once.
   */
  closed(stream: ServerHttp2Stream, now: number): void {
    this.#streams--;
    this.#quietSinceMs = now;
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR) return;
    const regained = ((now - this.#resetAtMs) * resetsPerSecond) / 1000;
    this.#resetsLeft = Math.min(resetBurst, this.#resetsLeft + regained) - 1;
    this.#resetAtMs = now;
    if (this.#resetsLeft < 0) this.destroy(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  /**
   * To be called every few seconds. Node's own time-out of a session is not for this: it goes on after the connection
   * has ended, and keeps the session in memory until then.
   */
  checkIdle(now: number): void {
    if (this.#endingSinceMs !== null) {
      if (now - this.#endingSinceMs >= endingTimeoutMs) this.destroy(constants.NGHTTP2_NO_ERROR);
    } else if (this.#streams === 0 && now - this.#quietSinceMs >= idleTimeoutMs) {
      this.#endingSinceMs = now;
      this.#session.close();
    }
  }

  destroy(code: number): void {
    if (!this.#session.destroyed) this.#session.destroy(undefined, code);
  }
}
