/** Connections that have not said yet what they are: bounded in number and in time. */
import { clientOf } from './client-counts.ts';

export type CutReason = 'timed-out' | 'crowded' | 'closing';

export interface OpeningLimits {
  readonly openingTimeoutMs: number;
  readonly maxOpenings: number;
  readonly maxOpeningsPerClient: number;
}

/** Where the time comes from; timers keep no process alive. */
export interface OpeningsClock {
  now(): number;
  setTimer(fire: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
}

const systemClock: OpeningsClock = {
  now: () => performance.now(),
  setTimer: (fire, ms) => setTimeout(fire, ms).unref(),
  clearTimer: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
};

/** A timer that is so late was held up by this process, not by clients: what they sent meanwhile is looked at first. */
const stallMs = 250;

/** One of them. `release` when it is decided or gone; afterwards `cut` is never called, as it is not called twice. */
export class Opening {
  readonly deadlineMs: number;
  /** Closes the connection; replaced as it goes through its stages. */
  cut: (reason: CutReason) => void;
  /** Null while it is not known. */
  client: string | null;
  readonly #owner: Openings;

  constructor(owner: Openings, deadlineMs: number, cut: (reason: CutReason) => void) {
    this.#owner = owner;
    this.deadlineMs = deadlineMs;
    this.client = null;
    this.cut = cut;
  }

  /** False: it was released or cut before. */
  release(): boolean {
    return this.#owner.remove(this);
  }

  /** False: that client has too many already. */
  assign(address: string): boolean {
    return this.#owner.assign(this, address);
  }
}

export class Openings {
  readonly #limits: OpeningLimits;
  /** In the order of their deadlines, because all have the same time. */
  readonly #open = new Set<Opening>();
  readonly #perClient = new Map<string, number>();
  readonly #clock: OpeningsClock;
  #timer: unknown = null;
  #dueAt = 0;
  readonly #expire = (): void => {
    this.#timer = null;
    const now = this.#clock.now();
    const lateMs = now - this.#dueAt;
    if (lateMs >= stallMs) {
      this.#armFor(now + lateMs);
      return;
    }
    for (const opening of this.#open) {
      if (opening.deadlineMs > now) break;
      this.remove(opening);
      opening.cut('timed-out');
    }
    this.#arm();
  };

  constructor(limits: OpeningLimits, clock: OpeningsClock = systemClock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get size(): number {
    return this.#open.size;
  }

  /** `address` null: not known yet, and not counted per client. Null comes back when that client has too many. */
  open(address: string | null, cut: (reason: CutReason) => void): Opening | null {
    const opening = new Opening(this, this.#clock.now() + this.#limits.openingTimeoutMs, cut);
    if (address !== null && !this.assign(opening, address)) return null;
    if (this.#open.size >= this.#limits.maxOpenings) {
      const [oldest] = this.#open;
      if (oldest !== undefined) {
        this.remove(oldest);
        oldest.cut('crowded');
      }
    }
    this.#open.add(opening);
    this.#arm();
    return opening;
  }

  assign(opening: Opening, address: string): boolean {
    const client = clientOf(address);
    const count = this.#perClient.get(client) ?? 0;
    if (count >= this.#limits.maxOpeningsPerClient) return false;
    this.#forget(opening);
    this.#perClient.set(client, count + 1);
    opening.client = client;
    return true;
  }

  /** False: it was not in. */
  remove(opening: Opening): boolean {
    if (!this.#open.delete(opening)) return false;
    this.#forget(opening);
    return true;
  }

  /** Cuts all. */
  close(): void {
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
    for (const opening of [...this.#open]) {
      this.remove(opening);
      opening.cut('closing');
    }
  }

  #forget({ client }: Opening): void {
    if (client === null) return;
    const count = this.#perClient.get(client) ?? 0;
    if (count > 1) this.#perClient.set(client, count - 1);
    else this.#perClient.delete(client);
  }

  #arm(): void {
    if (this.#timer !== null) return;
    const [oldest] = this.#open;
    if (oldest === undefined) return;
    this.#armFor(oldest.deadlineMs);
  }

  #armFor(at: number): void {
    const now = this.#clock.now();
    // A little later than the deadline, so that one look is enough for it.
    const waitMs = Math.max(1, Math.ceil(at - now));
    this.#dueAt = now + waitMs;
    this.#timer = this.#clock.setTimer(this.#expire, waitMs);
  }
}
