/**
 * Chooses the path that media is nominated on: make before break, climb only to a rung that was proven, step down on
 * evidence. Sans-I/O; times are monotonic ms.
 */
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { RungReason } from '../call.ts';
import { evidenceMs } from './ladder.ts';

export type PathDecision =
  | { readonly type: 'nominate'; readonly pathId: string; readonly reason: RungReason }
  /** The nominated path is silent. */
  | { readonly type: 'probe'; readonly pathId: string }
  /** A better path lacks a proof. Another proof under way is given up for this one. */
  | { readonly type: 'prove'; readonly pathId: string };

export interface ClimbPolicy {
  /** While nothing is nominated, how long a worse path waits for a better one that is still being checked. */
  readonly settleMs: number;
  /** After a proof that failed, from one try to the next. */
  readonly retryMs: number;
  /** Tries to climb within any {@link limitMs}. */
  readonly maxTries: number;
  readonly limitMs: number;
  /** After a rung failed, it is not climbed to for this long; doubled with each further failure. */
  readonly firstPenaltyMs: number;
  readonly maxPenaltyMs: number;
  /** A rung that carried media for so long has its earlier failures forgiven. */
  readonly forgiveMs: number;
}

export const defaultClimb: ClimbPolicy = {
  settleMs: 60,
  retryMs: 60_000,
  maxTries: 2,
  limitMs: 60_000,
  firstPenaltyMs: 10_000,
  maxPenaltyMs: 600_000,
  forgiveMs: 300_000,
};

interface KnownPath {
  readonly id: string;
  readonly rung: Rung;
  readonly validSince: number;
  heardAt: number;
  lively: boolean;
  probedAt: number;
  provenAt: number;
}

interface RungRecord {
  failures: number;
  /** Not climbed to before. */
  until: number;
}

/**
 * Where the peer tells nothing of what it sends, the nominated path is asked for a sign of life after this silence, and given
 * up after the second figure: soon while media comes, for then silence is strange; otherwise about as often as consent is
 * checked anyway.
 */
export const silence = {
  lively: { probeAfterMs: 1_000, failAfterMs: 2_500 },
  idle: { probeAfterMs: 6_500, failAfterMs: 9_000 },
} as const;
/** Datagrams that come closer together than this make a path lively. */
const livelyGapMs = 500;
/** Another path is believed in while its last answer is not older; consent checks come every 5 s. */
const believedMs = 8_000;
/** A proof is good for so long. */
const provenForMs = 5_000;

export class PathPolicy {
  readonly #climb: ClimbPolicy;
  readonly #paths = new Map<string, KnownPath>();
  readonly #records = new Map<Rung, RungRecord>();
  #nominated: KnownPath | null = null;
  #nominatedAt = 0;
  #pending: string | null = null;
  #proving: string | null = null;
  /** When the latest tries to climb began, oldest first. */
  readonly #tries: number[] = [];
  #degradedUntil = -Infinity;
  #pinned: Rung | null = null;
  #remembered: Rung | null = null;
  #everNominated = false;
  #firstValidAt: number | null = null;
  #lastFailed = false;
  /** Paths that are being checked, by id. */
  readonly #checking = new Map<string, Rung>();

  constructor(climb: ClimbPolicy = defaultClimb) {
    this.#climb = climb;
  }

  get pinned(): Rung | null {
    return this.#pinned;
  }

  /** Null: the policy is free again. */
  pin(rung: Rung | null): void {
    this.#pinned = rung;
  }

  /** The rung that this network needed before: a first path of it, or of a better one, waits for no other. */
  remember(rung: Rung | null): void {
    this.#remembered = rung;
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

  /** The rung failed lately, or its proof did: it is not climbed to for a while. */
  isPenalised(rung: Rung, now: number): boolean {
    return now < this.#notBefore(rung);
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
      heardAt: now,
      lively: false,
      probedAt: -Infinity,
      provenAt: -Infinity,
    });
  }

  /** Any datagram came on the path, or an answer. */
  heard(pathId: string, now: number): void {
    const path = this.#paths.get(pathId);
    // The answer that validated the path is counted already.
    if (path === undefined || now === path.validSince) return;
    path.lively = now - path.heardAt < livelyGapMs;
    path.heardAt = now;
  }

  /** How a proof ended. */
  proved(pathId: string, proven: boolean, now: number): void {
    if (this.#proving === pathId) this.#proving = null;
    const path = this.#paths.get(pathId);
    if (path === undefined) return;
    if (proven) path.provenAt = now;
    else this.#record(path.rung).until = Math.max(this.#notBefore(path.rung), now + this.#climb.retryMs);
  }

  /** What is sent on the nominated path does not arrive, or not enough of it: one of the others is better. */
  degraded(now: number): void {
    if (this.#nominated !== null) this.#degradedUntil = now + evidenceMs;
  }

  nominationBegan(pathId: string): void {
    this.#pending = pathId;
  }

  nominated(pathId: string, now: number): void {
    this.#pending = null;
    const path = this.#paths.get(pathId) ?? null;
    if (path !== this.#nominated) {
      this.#nominatedAt = now;
      this.#degradedUntil = -Infinity;
    }
    this.#nominated = path;
    this.#everNominated = true;
    this.#lastFailed = false;
  }

  /** The path does not work (any more), or is gone. */
  failed(pathId: string, now: number): void {
    this.#checking.delete(pathId);
    if (this.#pending === pathId) this.#pending = null;
    if (this.#proving === pathId) this.#proving = null;
    const path = this.#paths.get(pathId);
    if (path === undefined) return;
    this.#paths.delete(pathId);
    if (this.#nominated !== path) return;
    this.#nominated = null;
    this.#lastFailed = true;
    this.#punish(path.rung, now);
  }

  /** The network has changed, or is back: what failed before may work now. How often it is tried stays limited. */
  retry(): void {
    this.#records.clear();
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
    if (now < this.#degradedUntil || silentMs >= failAfterMs) {
      const other = this.#refuge(current, now);
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
    return this.#pinned === null ? this.#climbFrom(current, now) : null;
  }

  /** When to ask `decide` again, which was just asked at `now`; null when only events can change its mind. */
  nextTimeout(now: number): number | null {
    if (this.#pending !== null) return null;
    const current = this.#nominated;
    if (current === null) {
      return this.#firstValidAt === null ? null : after(now, this.#firstValidAt + this.#climb.settleMs);
    }
    const { probeAfterMs, failAfterMs } = current.lively ? silence.lively : silence.idle;
    let due = Math.min(
      after(now, Math.max(current.heardAt, current.probedAt) + probeAfterMs) ?? Infinity,
      after(now, current.heardAt + failAfterMs) ?? Infinity,
    );
    if (this.#pinned === null) {
      for (const path of this.#paths.values()) {
        if (rank(path.rung) < rank(current.rung)) due = Math.min(due, after(now, this.#proveAt(path)) ?? Infinity);
      }
    }
    return due === Infinity ? null : due;
  }

  #climbFrom(current: KnownPath, now: number): PathDecision | null {
    const isBetter = (path: KnownPath): boolean =>
      rank(path.rung) < rank(current.rung) && now - path.heardAt <= believedMs && !this.isPenalised(path.rung, now);
    const proven = this.#best((path) => isBetter(path) && now - path.provenAt <= provenForMs);
    if (proven !== null) return { type: 'nominate', pathId: proven.id, reason: 'better-rung-proven' };
    const wanted = this.#best(isBetter);
    if (wanted === null) return null;
    const proving = this.#proving === null ? undefined : this.#paths.get(this.#proving);
    if (proving === undefined) {
      if (now < this.#nextTryAt) return null;
      this.#tries.push(now);
      if (this.#tries.length > this.#climb.maxTries) this.#tries.shift();
    } else if (rank(wanted.rung) >= rank(proving.rung)) return null;
    this.#proving = wanted.id;
    return { type: 'prove', pathId: wanted.id };
  }

  #chooseFirst(now: number): PathDecision | null {
    const best =
      this.#best((path) => path.rung === this.#pinned) ??
      this.#best((path) => !this.isPenalised(path.rung, now)) ??
      this.#best(() => true);
    if (best === null) return null;
    const settled =
      this.#everNominated ||
      now >= (this.#firstValidAt ?? now) + this.#climb.settleMs ||
      (this.#remembered !== null && rank(best.rung) <= rank(this.#remembered));
    if (!settled && [...this.#checking.values()].some((rung) => rank(rung) < rank(best.rung))) return null;
    return { type: 'nominate', pathId: best.id, reason: this.#lastFailed ? 'rung-failed' : 'joined' };
  }

  /** Where to go from a path that fails: the best of the worse ones, for a better one is not proven. */
  #refuge(current: KnownPath, now: number): KnownPath | null {
    const isAlive = (path: KnownPath): boolean => path !== current && now - path.heardAt < believedMs;
    const isClean = (path: KnownPath): boolean => isAlive(path) && !this.isPenalised(path.rung, now);
    return (
      this.#best((path) => isClean(path) && rank(path.rung) > rank(current.rung)) ??
      this.#best(isClean) ??
      this.#best((path) => isAlive(path) && path.rung !== current.rung)
    );
  }

  /** The best of those wanted: by rung, then by which was valid first. */
  #best(wanted: (path: KnownPath) => boolean): KnownPath | null {
    let best: KnownPath | null = null;
    for (const path of this.#paths.values()) {
      if (!wanted(path)) continue;
      if (best === null || rank(path.rung) < rank(best.rung)) best = path;
    }
    return best;
  }

  #proveAt(path: KnownPath): number {
    return this.#proving === path.id ? Infinity : Math.max(this.#nextTryAt, this.#notBefore(path.rung));
  }

  get #nextTryAt(): number {
    return this.#tries.length < this.#climb.maxTries ? -Infinity : (this.#tries[0] as number) + this.#climb.limitMs;
  }

  #notBefore(rung: Rung): number {
    return this.#records.get(rung)?.until ?? -Infinity;
  }

  #record(rung: Rung): RungRecord {
    const known = this.#records.get(rung);
    if (known !== undefined) return known;
    const record = { failures: 0, until: -Infinity };
    this.#records.set(rung, record);
    return record;
  }

  #punish(rung: Rung, now: number): void {
    // It was asked for while it works, and no longer does.
    if (this.#pinned === rung) this.#pinned = null;
    const { firstPenaltyMs, maxPenaltyMs, forgiveMs } = this.#climb;
    const record = this.#record(rung);
    if (now - this.#nominatedAt >= forgiveMs) record.failures = 0;
    record.failures += 1;
    const ms = Math.min(maxPenaltyMs, firstPenaltyMs * 2 ** (record.failures - 1));
    record.until = Math.max(record.until, now + ms);
  }
}

function after(now: number, at: number): number | null {
  return at > now ? at : null;
}

function rank(rung: Rung): number {
  return rungs.indexOf(rung);
}
