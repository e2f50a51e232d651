/**
 * Whether the browser's own WebRTC has gone silent: the server says that it sends, and nothing is heard. ICE itself finds a dead
 * path after 5 s. Sans-I/O; times are monotonic ms.
 */
import type { PathReport } from '../../tunnel-protocol/index.ts';

export interface SilencePolicy {
  /** Nothing was heard for so long, */
  readonly silenceMs: number;
  /** while the server sent so many datagrams by its reports, */
  readonly leastSent: number;
  /** and so many a second: where nobody speaks, there are its own reports alone. */
  readonly leastPerSecond: number;
  /** Whoever looks so late has stood still, and what has not been looked at is not silence. */
  readonly stallMs: number;
}

export const defaultSilence: SilencePolicy = { silenceMs: 450, leastSent: 6, leastPerSecond: 15, stallMs: 250 };

export class NativeSilence {
  readonly #policy: SilencePolicy;
  #mark: number | null = null;
  #heardAt = 0;
  #lookedAt = -Infinity;
  #firstSent: number | null = null;
  #sent = 0;
  #forMs = 0;
  #firstAt = 0;

  constructor(policy: SilencePolicy = defaultSilence) {
    this.#policy = policy;
  }

  /** `mark`: anything that changes when something is heard, and only then. True: silent, as far as can be told from this. */
  look(mark: number, now: number): boolean {
    const stoodStill = now - this.#lookedAt > this.#policy.stallMs;
    this.#lookedAt = now;
    if (mark !== this.#mark || stoodStill) {
      this.#mark = mark;
      this.heard(now);
      return false;
    }
    const { silenceMs, leastSent, leastPerSecond } = this.#policy;
    const isBusy = this.#sent >= leastSent && this.#sent >= (leastPerSecond * this.#forMs) / 1_000;
    return now - this.#heardAt >= silenceMs && isBusy;
  }

  /** Something came after all, or another way is listened to: it begins anew. */
  heard(now: number): void {
    this.#heardAt = now;
    this.#firstSent = null;
    this.#sent = 0;
  }

  /** The server's; its times are of its own clock. */
  reported({ sent, time }: PathReport): void {
    // The first report since something was heard may tell of what was heard.
    if (this.#firstSent === null) {
      this.#firstSent = sent;
      this.#firstAt = time;
    } else {
      this.#sent = (sent - this.#firstSent) >>> 0;
      this.#forMs = (time - this.#firstAt) >>> 0;
    }
  }
}
