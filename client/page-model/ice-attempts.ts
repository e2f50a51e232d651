/** What became of each rung that a browser's ICE tried: read off its candidate pairs, since ICE itself does not tell. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { AttemptOutcome, RungAttempt } from '../call.ts';
import { isBetterRung } from './ice-plan.ts';

/** One candidate pair as webrtc-stats has it; several may be of one rung. */
export interface RungPair {
  readonly id: string;
  readonly rung: Rung;
  readonly state: 'frozen' | 'waiting' | 'in-progress' | 'succeeded' | 'failed';
}

export interface IceLook {
  /** Of the selected pair; null before there is one. */
  readonly selected: Rung | null;
  readonly pairs: readonly RungPair[];
}

interface Entry {
  readonly rung: Rung;
  readonly beganAt: number;
  outcome: AttemptOutcome;
  endedAt: number;
  reason: string | null;
  relayAnswered: boolean;
}

const maxEntries = 64;
/** Of a rung that was called off when its TURN server had answered. */
const spare = 'ready, not needed';

export class IceAttempts {
  readonly #entries: Entry[] = [];
  /** Those of the latest negotiation, by rung. */
  #current = new Map<Rung, Entry>();
  /** Pairs of negotiations before, which linger in the statistics. */
  #stale = new Set<string>();
  #seen = new Set<string>();

  /** All since the join, oldest first; the latest 64. */
  list(now: number): readonly RungAttempt[] {
    return this.#entries.map((entry) => toAttempt(entry, now));
  }

  /** The latest one of each rung. */
  latest(now: number): ReadonlyMap<Rung, RungAttempt> {
    return new Map([...this.#current].map(([rung, entry]) => [rung, toAttempt(entry, now)]));
  }

  /** ICE begins, or restarts. */
  begin(rungs: readonly Rung[], now: number): void {
    for (const entry of this.#current.values()) {
      if (entry.outcome === 'pending') end(entry, 'superseded', now, 'ICE was restarted');
    }
    this.#stale = this.#seen;
    this.#seen = new Set(this.#stale);
    this.#current = new Map();
    for (const rung of rungs) {
      const entry: Entry = { rung, beganAt: now, outcome: 'pending', endedAt: now, reason: null, relayAnswered: false };
      this.#current.set(rung, entry);
      this.#entries.push(entry);
    }
    if (this.#entries.length > maxEntries) this.#entries.splice(0, this.#entries.length - maxEntries);
  }

  /** The server's answer has no candidates for this rung. */
  notOffered(rung: Rung, now: number): void {
    const entry = this.#current.get(rung);
    if (entry?.outcome === 'pending') end(entry, 'skipped', now, 'not offered by the server');
  }

  /** A TURN server has given an address, so this rung works as far as to it. */
  relayAnswered(rung: Rung): void {
    const entry = this.#current.get(rung);
    if (entry === undefined) return;
    entry.relayAnswered = true;
    if (entry.outcome === 'superseded') entry.reason = spare;
  }

  /** A TURN server cannot be reached, or refuses. From another address of this machine it may still work. */
  relayFailed(rung: Rung, reason: string, now: number): void {
    const entry = this.#current.get(rung);
    if (entry?.outcome === 'pending' && !entry.relayAnswered) end(entry, 'failed', now, reason);
  }

  observe({ selected, pairs }: IceLook, now: number): void {
    const fresh = pairs.filter(({ id }) => !this.#stale.has(id));
    for (const { id } of fresh) this.#seen.add(id);
    for (const [rung, entry] of this.#current) {
      if (entry.outcome === 'connected') continue;
      const states = fresh.filter((pair) => pair.rung === rung).map(({ state }) => state);
      if (states.includes('succeeded')) end(entry, 'connected', now, null);
      else if (entry.outcome !== 'pending') continue;
      else if (selected !== null && isBetterRung(selected, rung)) {
        end(entry, 'superseded', now, entry.relayAnswered ? spare : null);
      } else if (states.length > 0 && states.every((state) => state === 'failed')) {
        end(entry, 'failed', now, 'no answer');
      }
    }
  }
}

function end(entry: Entry, outcome: AttemptOutcome, now: number, reason: string | null): void {
  entry.outcome = outcome;
  entry.endedAt = now;
  entry.reason = reason;
}

function toAttempt({ rung, outcome, beganAt, endedAt, reason }: Entry, now: number): RungAttempt {
  const ms = (outcome === 'pending' ? now : endedAt) - beganAt;
  return { rung, outcome, ms, ...(reason === null ? {} : { reason }) };
}
