/** The story of a call's way up and down the ladder, for telemetry. */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { AttemptOutcome, RungAttempt, RungChange, RungReason } from '../call.ts';
import type { ProofResult } from '../ice/index.ts';
import type { Evidence } from './path-evidence.ts';

/**
 * `atMs`: since the client got the server's answer, from which on paths are tried.
 * - `rung_attempt`: a try to open a rung has ended, or a try to prove that an open one can carry media.
 * - `rung_selected`: media goes on this rung from now on; told of every change, the first one too.
 * - `upgrade`, `downgrade`: it went on a worse or a better one before.
 * - `dwell`: how long it did.
 */
export type LadderEvent =
  | {
      readonly type: 'rung_attempt';
      readonly atMs: number;
      readonly rung: Rung;
      readonly step: 'open';
      readonly outcome: AttemptOutcome;
      readonly ms: number;
      readonly reason?: string;
    }
  | {
      readonly type: 'rung_attempt';
      readonly atMs: number;
      readonly rung: Rung;
      readonly step: 'proof';
      readonly outcome: 'proven' | 'failed';
      readonly ms: number;
      /** Requests of the size of a large media packet; those not answered in time at full size. */
      readonly sent: number;
      readonly lost: number;
      readonly roundTripMs: number | null;
    }
  | { readonly type: 'rung_selected'; readonly atMs: number; readonly rung: Rung; readonly reason: RungReason }
  | {
      readonly type: 'upgrade';
      readonly atMs: number;
      readonly from: Rung;
      readonly to: Rung;
      readonly reason: RungReason;
    }
  | {
      readonly type: 'downgrade';
      readonly atMs: number;
      readonly from: Rung;
      readonly to: Rung;
      readonly reason: RungReason;
      /** What both ends' reports showed; null where the path was lost, silent without reports, or left on request. */
      readonly evidence: Evidence | null;
    }
  | { readonly type: 'dwell'; readonly atMs: number; readonly rung: Rung; readonly ms: number };

/** Events that are kept; a call of days goes up and down. */
export const maxLadderEvents = 256;

export class LadderLog {
  readonly #events: LadderEvent[] = [];
  readonly #onEvent: (event: LadderEvent) => void;
  #startedAt: number;
  #rung: Rung | null = null;
  #rungAt = 0;
  #evidence: Evidence | null = null;

  constructor(onEvent: (event: LadderEvent) => void, now: number) {
    this.#onEvent = onEvent;
    this.#startedAt = now;
  }

  /** The latest 256, oldest first. */
  get events(): readonly LadderEvent[] {
    return [...this.#events];
  }

  /** `atMs` counts from here on. */
  start(now: number): void {
    this.#startedAt = now;
  }

  attempt({ rung, outcome, ms, reason }: RungAttempt, now: number): void {
    const why = reason === undefined ? {} : { reason };
    this.#add({ type: 'rung_attempt', atMs: this.#at(now), rung, step: 'open', outcome, ms, ...why });
  }

  proof(rung: Rung, { proven, ms, sent, lost, roundTripMs }: ProofResult, now: number): void {
    const outcome = proven ? 'proven' : 'failed';
    this.#add({ type: 'rung_attempt', atMs: this.#at(now), rung, step: 'proof', outcome, ms, sent, lost, roundTripMs });
  }

  /** Evidence against the rung that carries media: the reason of a step down that follows. */
  degraded(evidence: Evidence): void {
    this.#evidence = evidence;
  }

  moved({ from, to, reason }: RungChange, now: number): void {
    this.end(now);
    const atMs = this.#at(now);
    if (from !== null) {
      if (rungs.indexOf(to) < rungs.indexOf(from)) this.#add({ type: 'upgrade', atMs, from, to, reason });
      else {
        const evidence = reason === 'rung-failed' ? this.#evidence : null;
        this.#add({ type: 'downgrade', atMs, from, to, reason, evidence });
      }
    }
    this.#evidence = null;
    this.#rung = to;
    this.#rungAt = now;
    this.#add({ type: 'rung_selected', atMs, rung: to, reason });
  }

  /** Media flows no more. */
  end(now: number): void {
    if (this.#rung === null) return;
    this.#add({ type: 'dwell', atMs: this.#at(now), rung: this.#rung, ms: now - this.#rungAt });
    this.#rung = null;
  }

  #at(now: number): number {
    return now - this.#startedAt;
  }

  #add(event: LadderEvent): void {
    this.#events.push(event);
    if (this.#events.length > maxLadderEvents) this.#events.shift();
    this.#onEvent(event);
  }
}
