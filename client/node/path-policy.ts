/**
 * Chooses the path that media is nominated on: make before break, climb when a better rung is proven, step down when one
 * falls silent. Sans-I/O; times are monotonic ms.
 */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { RungReason } from '../call.ts';

export type PathDecision =
  | { readonly type: 'nominate'; readonly pathId: string; readonly reason: RungReason }
  /** The nominated path is silent. */
  | { readonly type: 'probe'; readonly pathId: string }
  /** A better path lacks a proof. */
  | { readonly type: 'prove'; readonly pathId: string };

interface KnownPath {
  readonly id: string;
  readonly rung: Rung;
  validSince: number;
  answers: number;
  heardAt: number;
  lively: boolean;
  probedAt: number;
}

/** While nothing is nominated, how long a worse path waits for a better one that is still being checked. */
export const settleMs = 60;
/** A better rung is proven when it was answered this often, over this time. */
export const provenAnswers = 2;
export const provenMs = 1_000;
/**
 * The nominated path is asked for a sign of life after this silence, and given up after the second figure: soon while
 * media comes, for then silence is strange; otherwise about as often as consent is checked anyway.
 */
export const silence = {
  lively: { probeAfterMs: 1_000, failAfterMs: 2_500 },
  idle: { probeAfterMs: 6_500, failAfterMs: 9_000 },
} as const;
/** Datagrams that come closer together than this make a path lively. */
const livelyGapMs = 500;
/** Another path is believed in while its last answer is not older; consent checks come every 5 s. */
const believedMs = 8_000;
/** After a rung failed, it is not climbed to for this long; doubled with each further failure. */
const firstPenaltyMs = 10_000;
const maxPenaltyMs = 120_000;

export class PathPolicy {
  readonly #paths = new Map<string, KnownPath>();
  readonly #penalties = new Map<Rung, { until: number; failures: number }>();
  #nominated: KnownPath | null = null;
  #pending: string | null = null;
  #pinned: Rung | null = null;
  #everNominated = false;
  #firstValidAt: number | null = null;
  #lastFailed = false;
  /** Paths that are being checked, by id. */
  readonly #checking = new Map<string, Rung>();

  get pinned(): Rung | null {
    return this.#pinned;
  }

  /** Null: the policy is free again. */
  pin(rung: Rung | null): void {
    this.#pinned = rung;
  }

  /** True while a nomination is under way. */
  get busy(): boolean {
    return this.#pending !== null;
  }

  isValid(rung: Rung): boolean {
    return this.#best((path) => path.rung === rung) !== null;
  }

  /** A path of the rung is valid or being checked. */
  hasHope(rung: Rung): boolean {
    return this.isValid(rung) || [...this.#checking.values()].includes(rung);
  }

  /** The rung failed lately: it is not climbed to for a while. */
  isPenalised(rung: Rung, now: number): boolean {
    return now < (this.#penalties.get(rung)?.until ?? -Infinity);
  }

  /** A path is being checked: nothing is known of it yet. */
  checking(pathId: string, rung: Rung): void {
    this.#checking.set(pathId, rung);
  }

  validated(pathId: string, now: number): void {
    const rung = this.#checking.get(pathId);
    if (rung === undefined) return;
    this.#checking.delete(pathId);
    this.#firstValidAt ??= now;
    this.#paths.set(pathId, {
      id: pathId,
      rung,
      validSince: now,
      answers: 1,
      heardAt: now,
      lively: false,
      probedAt: -Infinity,
    });
  }

  /** A further check was answered; the one that validated the path is counted already. */
  answered(pathId: string, now: number): void {
    const path = this.#paths.get(pathId);
    if (path === undefined || now === path.validSince) return;
    path.answers += 1;
    this.heard(pathId, now);
  }

  /** Any datagram came on the path. */
  heard(pathId: string, now: number): void {
    const path = this.#paths.get(pathId);
    if (path === undefined) return;
    path.lively = now - path.heardAt < livelyGapMs;
    path.heardAt = now;
  }

  nominationBegan(pathId: string): void {
    this.#pending = pathId;
  }

  nominated(pathId: string): void {
    this.#pending = null;
    this.#nominated = this.#paths.get(pathId) ?? null;
    this.#everNominated = true;
    this.#lastFailed = false;
  }

  /** The path does not work (any more), or is gone. */
  failed(pathId: string, now: number): void {
    this.#checking.delete(pathId);
    if (this.#pending === pathId) this.#pending = null;
    const path = this.#paths.get(pathId);
    if (path === undefined) return;
    this.#paths.delete(pathId);
    if (this.#nominated !== path) return;
    this.#nominated = null;
    this.#lastFailed = true;
    this.#punish(path.rung, now);
  }

  /** What to do now. Ask again after every other call, and at {@link nextTimeout}. */
  decide(now: number): PathDecision | null {
    const current = this.#nominated;
    if (this.#pending !== null) return null;
    if (current === null) return this.#chooseFirst(now);
    if (this.#pinned !== null && current.rung !== this.#pinned) {
      const wanted = this.#best((path) => path.rung === this.#pinned);
      if (wanted !== null) return { type: 'nominate', pathId: wanted.id, reason: 'requested' };
    }
    const silentMs = now - current.heardAt;
    const { probeAfterMs, failAfterMs } = current.lively ? silence.lively : silence.idle;
    if (silentMs >= failAfterMs) {
      const other = this.#best((path) => path !== current && now - path.heardAt < believedMs);
      if (other !== null) {
        this.#punish(current.rung, now);
        return { type: 'nominate', pathId: other.id, reason: 'rung-failed' };
      }
    }
    if (silentMs >= probeAfterMs && now - current.probedAt >= probeAfterMs) {
      current.probedAt = now;
      return { type: 'probe', pathId: current.id };
    }
    // On the way to what was asked for, nothing else is gone to.
    if (this.#pinned !== null) return null;
    const better = this.#best((path) => rank(path.rung) < rank(current.rung) && this.#isProven(path, now));
    if (better !== null) return { type: 'nominate', pathId: better.id, reason: 'better-rung-proven' };
    const unproven = this.#best((path) => rank(path.rung) < rank(current.rung) && now >= this.#proveAt(path));
    if (unproven === null) return null;
    unproven.probedAt = now;
    return { type: 'prove', pathId: unproven.id };
  }

  /** When to ask `decide` again, which was just asked at `now`; null when only events can change its mind. */
  nextTimeout(now: number): number | null {
    if (this.#pending !== null) return null;
    const current = this.#nominated;
    if (current === null) return this.#firstValidAt === null ? null : after(now, this.#firstValidAt + settleMs);
    const { probeAfterMs, failAfterMs } = current.lively ? silence.lively : silence.idle;
    let due = Math.min(
      after(now, Math.max(current.heardAt, current.probedAt) + probeAfterMs) ?? Infinity,
      after(now, current.heardAt + failAfterMs) ?? Infinity,
    );
    for (const path of this.#paths.values()) {
      if (rank(path.rung) >= rank(current.rung)) continue;
      if (this.#pinned === null) due = Math.min(due, after(now, this.#proveAt(path)) ?? Infinity);
      if (path.answers < provenAnswers) continue;
      const provenAt = Math.max(path.validSince + provenMs, this.#penalties.get(path.rung)?.until ?? 0);
      due = Math.min(due, after(now, provenAt) ?? Infinity);
    }
    return due === Infinity ? null : due;
  }

  #chooseFirst(now: number): PathDecision | null {
    const best = this.#best((path) => path.rung === this.#pinned) ?? this.#best(() => true);
    if (best === null) return null;
    const settled = this.#everNominated || now >= (this.#firstValidAt ?? now) + settleMs;
    if (!settled && [...this.#checking.values()].some((rung) => rank(rung) < rank(best.rung))) return null;
    return { type: 'nominate', pathId: best.id, reason: this.#lastFailed ? 'rung-failed' : 'joined' };
  }

  /** The best of those wanted: by rung, then by which was proven first. */
  #best(wanted: (path: KnownPath) => boolean): KnownPath | null {
    let best: KnownPath | null = null;
    for (const path of this.#paths.values()) {
      if (!wanted(path)) continue;
      if (best === null || rank(path.rung) < rank(best.rung)) best = path;
    }
    return best;
  }

  /** When to ask it once more, rather than to wait for its consent's check. */
  #proveAt(path: KnownPath): number {
    const asked = path.answers >= provenAnswers || path.probedAt !== -Infinity;
    return asked ? Infinity : Math.max(path.validSince + provenMs, this.#penalties.get(path.rung)?.until ?? 0);
  }

  #isProven(path: KnownPath, now: number): boolean {
    if (this.isPenalised(path.rung, now)) return false;
    if (now - path.heardAt > believedMs) return false;
    return path.answers >= provenAnswers && now - path.validSince >= provenMs;
  }

  #punish(rung: Rung, now: number): void {
    // It was asked for while it works, and no longer does.
    if (this.#pinned === rung) this.#pinned = null;
    const failures = (this.#penalties.get(rung)?.failures ?? 0) + 1;
    const ms = Math.min(maxPenaltyMs, firstPenaltyMs * 2 ** (failures - 1));
    this.#penalties.set(rung, { until: now + ms, failures });
  }
}

function after(now: number, at: number): number | null {
  return at > now ? at : null;
}

function rank(rung: Rung): number {
  return rungs.indexOf(rung);
}
