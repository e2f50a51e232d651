/**
 * Decides which rungs to open and which to close. UDP and the tunnel are always there; the rungs between them cost a
 * connection or an allocation each, so they are opened one shortly after the other while nothing better works, and given
 * up when something better does. Nothing waits for a rung to time out. Sans-I/O; times are monotonic ms.
 */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';

export type LadderAction =
  | { readonly type: 'open'; readonly rung: Rung }
  /** `superseded`: a better rung works. `timed-out`: it did not come about. */
  | { readonly type: 'close'; readonly rung: Rung; readonly why: 'superseded' | 'timed-out' };

/** How long UDP may take to answer before other rungs are opened. */
export const headStartMs = 180;
/** From the beginning of one rung to that of the next. */
export const staggerMs = 100;
/** After the nominated rung was asked for a sign of life, others are prepared if none has come by then. */
export const suspicionMs = 250;
/** Evidence against the nominated rung counts for so long. */
export const evidenceMs = 5_000;
/** A rung that carried media for so long makes worse ones superfluous. */
export const holdMs = 2_000;
/** An attempt that did not lead to an answered check by then has failed. */
export const attemptMs = 10_000;
/** After a failure a rung is tried again: soon, then ever more seldom. */
export const firstRetryMs = 3_000;
export const maxRetryMs = 60_000;
/** While nothing works at all, people wait. */
export const strandedRetryMs = 5_000;

interface LadderRung {
  readonly rung: Rung;
  state: 'closed' | 'opening' | 'open';
  since: number;
  failures: number;
  failedAt: number;
}

export class Ladder {
  /** The rungs to open and close, best first. */
  readonly #rungs: readonly LadderRung[];
  /** Those with a path that works, the ones that are always there as well. */
  readonly #valid = new Set<Rung>();
  #nominated: Rung | null = null;
  #nominatedAt = 0;
  #pinned: Rung | null = null;
  /** When the nominated rung begins to count for nothing, unless it gives a sign of life before. */
  #distrustAt = Infinity;
  /** What is sent on the nominated rung does not all arrive, whatever signs of life it gives. */
  #degradedUntil = -Infinity;
  /** Opened at once, for it is what this network needed before. */
  #remembered: Rung | null = null;
  #nextOpenAt = Infinity;

  /** `available`: the rungs to open and close. */
  constructor(available: Iterable<Rung>) {
    const known = new Set(available);
    this.#rungs = rungs
      .filter((rung) => known.has(rung))
      .map((rung) => ({ rung, state: 'closed', since: 0, failures: 0, failedAt: -Infinity }));
  }

  /**
   * `udpFirst`: UDP is being checked, and gets its head start. `remembered`: what this network needed before UDP or any
   * other rung answered; it is opened at once, whatever else is tried.
   */
  start(now: number, udpFirst: boolean, remembered: Rung | null = null): void {
    this.#remembered = remembered;
    this.#nextOpenAt = now + (udpFirst ? headStartMs : 0);
  }

  /** A path of the rung works. */
  validated(rung: Rung): void {
    const known = this.#find(rung);
    if (known?.state === 'closed') return;
    this.#valid.add(rung);
    if (known === undefined) return;
    known.state = 'open';
    known.failures = 0;
  }

  /** A path of the rung works, but is not fit for media: it does not make worse rungs superfluous. */
  unproven(rung: Rung): void {
    this.#valid.delete(rung);
  }

  /** The rung has no path any more that works or may come to work. */
  failed(rung: Rung, now: number): void {
    this.#valid.delete(rung);
    if (this.#nominated === rung) this.#nominated = null;
    const known = this.#find(rung);
    if (known === undefined || known.state === 'closed') return;
    known.state = 'closed';
    known.failedAt = now;
    known.failures += 1;
    // The next one in line need not wait for its turn.
    this.#nextOpenAt = Math.min(this.#nextOpenAt, now);
  }

  /** Media goes on this rung. */
  nominated(rung: Rung, now: number): void {
    this.#nominated = rung;
    this.#nominatedAt = now;
    this.#distrustAt = Infinity;
    this.#degradedUntil = -Infinity;
    this.#remembered = null;
  }

  /** The nominated rung is silent, and was asked for a sign of life. */
  suspect(now: number): void {
    if (this.#distrustAt === Infinity) this.#distrustAt = now + suspicionMs;
  }

  /** There is evidence against the nominated rung: others are prepared, until one of them is nominated or it is old. */
  degrade(now: number): void {
    if (this.#nominated !== null) this.#degradedUntil = now + evidenceMs;
  }

  /** It gave one. */
  trust(): void {
    this.#distrustAt = Infinity;
  }

  /** This rung is wanted as long as it works; null: none in particular. A change opens it at once. */
  pin(rung: Rung | null): void {
    if (this.#pinned === rung) return;
    this.#pinned = rung;
    const known = rung === null ? undefined : this.#find(rung);
    if (known !== undefined) known.failedAt = -Infinity;
  }

  /** The network has changed, or is back: what failed before may work now. */
  retry(): void {
    for (const known of this.#rungs) {
      known.failedAt = -Infinity;
      known.failures = 0;
    }
  }

  /** What to do now. Ask again until it is null, after every other call and at {@link nextTimeout}. */
  next(now: number): LadderAction | null {
    return this.#close(now) ?? this.#open(now);
  }

  /** When to ask `next` again; null when only events can change its mind. */
  nextTimeout(now: number): number | null {
    let due = Math.min(after(now, this.#distrustAt), after(now, this.#degradedUntil));
    if (this.#nominated !== null) due = Math.min(due, after(now, this.#nominatedAt + holdMs));
    for (const known of this.#rungs) {
      if (known.state === 'opening') due = Math.min(due, known.since + attemptMs);
      if (known.state === 'closed' && this.#isWanted(known.rung, now)) {
        due = Math.min(due, Math.max(this.#retryAt(known), this.#nextOpenAt));
      }
    }
    return due === Infinity ? null : due;
  }

  #close(now: number): LadderAction | null {
    for (const known of this.#rungs) {
      const { rung, state } = known;
      if (state === 'closed') continue;
      if (state === 'opening' && now >= known.since + attemptMs) {
        this.failed(rung, now);
        return { type: 'close', rung, why: 'timed-out' };
      }
      if (!this.#isSuperfluous(rung, now)) continue;
      known.state = 'closed';
      this.#valid.delete(rung);
      return { type: 'close', rung, why: 'superseded' };
    }
    return null;
  }

  #open(now: number): LadderAction | null {
    for (const known of this.#rungs) {
      const { rung } = known;
      if (known.state !== 'closed' || now < this.#retryAt(known)) continue;
      const asked = (rung === this.#pinned && rung !== this.#nominated) || rung === this.#remembered;
      if (!asked && (now < this.#nextOpenAt || !this.#isWanted(rung, now))) continue;
      known.state = 'opening';
      known.since = now;
      if (rung === this.#remembered) this.#remembered = null;
      if (!asked) this.#nextOpenAt = now + staggerMs;
      return { type: 'open', rung };
    }
    return null;
  }

  /** Whether it would be better than what works. */
  #isWanted(rung: Rung, now: number): boolean {
    if (rung === this.#pinned) return true;
    const distrusted = this.#isDistrusted(now) ? this.#nominated : null;
    if (this.#pinned !== null && this.#pinned === this.#nominated && distrusted === null) return false;
    for (const valid of this.#valid) if (valid !== distrusted && rank(valid) < rank(rung)) return false;
    return true;
  }

  /** Whether a better rung, or the one that was asked for, has carried media for a while. */
  #isSuperfluous(rung: Rung, now: number): boolean {
    const nominated = this.#nominated;
    if (nominated === null || now < this.#nominatedAt + holdMs || this.#isDistrusted(now)) return false;
    if (rung === nominated || rung === this.#pinned) return false;
    return nominated === this.#pinned || rank(nominated) < rank(rung);
  }

  #isDistrusted(now: number): boolean {
    return now < this.#degradedUntil || now >= this.#distrustAt;
  }

  #retryAt(known: LadderRung): number {
    if (known.failures === 0) return -Infinity;
    const waitMs = Math.min(maxRetryMs, firstRetryMs * 2 ** (known.failures - 1));
    return known.failedAt + (this.#valid.size === 0 ? Math.min(strandedRetryMs, waitMs) : waitMs);
  }

  #find(rung: Rung): LadderRung | undefined {
    return this.#rungs.find((known) => known.rung === rung);
  }
}

function after(now: number, at: number): number {
  return at > now ? at : Infinity;
}

function rank(rung: Rung): number {
  return rungs.indexOf(rung);
}
