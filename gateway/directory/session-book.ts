/** An edge's sessions in the directory: written when they come, again now and then, and all of them when it was away. */
import { DirectoryDown, directoryTimes, type Directory, type SessionRecord } from './directory.ts';

const stepMs = 500;

export class SessionBook {
  readonly #directory: Directory;
  readonly #edge: string;
  readonly #random: () => number;
  readonly #mine = new Map<string, { record: SessionRecord; dueAt: number }>();
  readonly #timer: NodeJS.Timeout;

  /** `random` gives 0 ≤ x < 1. */
  constructor(directory: Directory, edge: string, random: () => number) {
    this.#directory = directory;
    this.#edge = edge;
    this.#random = random;
    this.#timer = setInterval(() => {
      this.#renewDue();
    }, stepMs).unref();
    directory.onUp = () => {
      this.#spread();
    };
  }

  get size(): number {
    return this.#mine.size;
  }

  taken(session: string, node: string, take: number): void {
    this.#put(session, { edge: this.#edge, node, rung: this.#mine.get(session)?.record.rung ?? 'none', take });
  }

  rungMoved(session: string, rung: string): void {
    const known = this.#mine.get(session);
    if (known !== undefined) this.#put(session, { ...known.record, rung });
  }

  /** It is on another edge now, which says so itself. */
  left(session: string): void {
    this.#mine.delete(session);
  }

  ended(session: string): void {
    const mine = this.#mine.get(session);
    if (mine === undefined) return;
    this.#mine.delete(session);
    this.#directory.removeSession(session, mine.record.take).catch(ignoreDown);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const session of [...this.#mine.keys()]) this.ended(session);
  }

  #put(session: string, record: SessionRecord): void {
    this.#mine.set(session, { record, dueAt: performance.now() + directoryTimes.sessionRenewMs });
    this.#directory.putSession(session, record).catch(ignoreDown);
  }

  #spread(): void {
    const now = performance.now();
    for (const entry of this.#mine.values()) entry.dueAt = now + this.#random() * directoryTimes.rebuildSpreadMs;
  }

  #renewDue(): void {
    const now = performance.now();
    if (!this.#directory.up) return;
    for (const [session, { record, dueAt }] of this.#mine) if (dueAt <= now) this.#put(session, record);
  }
}

function ignoreDown(error: unknown): void {
  // It says so itself, once.
  if (!(error instanceof DirectoryDown)) throw error;
}
