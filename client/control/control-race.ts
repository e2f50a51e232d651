/**
 * Which connection carries the control channel, sans-I/O: all carriers are tried, one shortly after the other; the first to
 * prove itself wins; a better one takes over later, before the present one is left. Feed it what happens to the
 * connections it asks for, drain `nextAction` after each call, and wake it by `handleTimeout` at `nextTimeout`.
 *
 * A connection proves itself by the answer to a ping, which the server gives before `open` as well. Where nothing else is
 * up, `open` goes out at once: that saves a round trip, and costs nothing where another one proves itself earlier.
 */
import type { ControlRung } from '../../tunnel-protocol/index.ts';

export interface RacePolicy {
  /** The carriers that may be used, best first. */
  readonly rungs: readonly ControlRung[];
  /** The one that worked last on this network: tried first. */
  readonly preferred?: ControlRung | undefined;
  /** From the start of the first to that of the second, of the second to the third. A failure starts the next at once. */
  readonly gapsMs: readonly number[];
  /** How often better carriers are tried again. */
  readonly climbEveryMs: number;
  /** The same for the first time, where a better one was not tried, or not waited for, since another one was up. */
  readonly firstClimbMs: number;
  /** A connection that has proved nothing after this has failed. */
  readonly attemptTimeoutMs: number;
  /** A proven connection whose `open` was not answered for so long has failed. */
  readonly moveTimeoutMs: number;
}

export const racePolicy: Omit<RacePolicy, 'rungs' | 'preferred'> = {
  gapsMs: [250, 500],
  climbEveryMs: 60_000,
  firstClimbMs: 2000,
  attemptTimeoutMs: 10_000,
  moveTimeoutMs: 3000,
};

/** `superseded`: another one was better, or earlier. */
export type RaceOutcome = 'connected' | 'failed' | 'superseded';

export type RaceAction =
  | { readonly type: 'connect'; readonly id: number; readonly rung: ControlRung }
  /** Send a ping on it. */
  | { readonly type: 'probe'; readonly id: number }
  /** It is the session's connection now: send `open`. Whichever was before is closed already. */
  | { readonly type: 'bind'; readonly id: number }
  /** Send `open` on it, while the present connection goes on. */
  | { readonly type: 'move'; readonly id: number }
  /** The move came to nothing. */
  | { readonly type: 'stay' }
  | { readonly type: 'close'; readonly id: number }
  /** The session's connection is gone, and no other takes its place at once. */
  | { readonly type: 'lost' }
  /** Nothing is left to be tried: call `start` again, after a pause. */
  | { readonly type: 'exhausted' }
  /** For the log: an attempt to connect has ended. */
  | { readonly type: 'attempt'; readonly id: number; readonly rung: ControlRung; readonly outcome: RaceOutcome; readonly ms: number; readonly reason: string | null }; // prettier-ignore

interface Runner {
  readonly id: number;
  readonly rung: ControlRung;
  readonly startedAt: number;
  opened: boolean;
  roundTripMs: number | null;
  provenAt: number;
  /** When `open` was sent on it. */
  openSentAt: number;
  welcomed: boolean;
  /** Its attempt is in the log. */
  logged: boolean;
}

/** What an answer may take beyond the round trips. */
const toleranceMs = 50;

export class ControlRace {
  readonly #policy: RacePolicy;
  readonly #runners = new Map<number, Runner>();
  #actions: RaceAction[] = [];
  #queue: ControlRung[] = [];
  #startAt = 0;
  #started = 0;
  #ids = 0;
  /** What the session is on. */
  #carrier: Runner | null = null;
  /** What it is moving to. */
  #mover: Runner | null = null;
  /** The carrier has proved itself. */
  #settled = false;
  /** It did so while the session was moving. */
  #answered = false;
  /** The carrier is to be left, for any other. */
  #leaving = false;
  #worked: ControlRung | null;
  /** Those that failed by themselves since the start. */
  readonly #failing = new Set<ControlRung>();
  #climbAt = Infinity;
  #movedAt = -Infinity;
  /** An `open` was sent since the start. */
  #bound = false;

  constructor(policy: RacePolicy) {
    this.#policy = policy;
    this.#worked = policy.preferred ?? null;
  }

  /** The connection that the session is on; null when there is none. */
  get carrier(): number | null {
    return this.#carrier?.id ?? null;
  }

  /** The one to which it is moving; null while it stays. */
  get mover(): number | null {
    return this.#mover?.id ?? null;
  }

  /** The last one that proved itself; where the policy named one, that at first. */
  get worked(): ControlRung | null {
    return this.#worked;
  }

  /** A server that replaced the present connection may have done so for a late `open` on another one of this race. */
  mayHaveMoved(now: number): boolean {
    return this.#mover !== null || now - this.#movedAt < this.#policy.attemptTimeoutMs;
  }

  /** Tries all, when there is no connection: what worked last is first. */
  start(now: number): void {
    if (this.#carrier !== null || this.#mover !== null) return;
    this.#bound = false;
    this.#failing.clear();
    const { rungs } = this.#policy;
    const first = this.#worked;
    this.#try(first === null ? rungs : [first, ...rungs.filter((rung) => rung !== first)], now);
  }

  /** The network is another one: better carriers are tried now. */
  retry(now: number): void {
    if (this.#settled) this.#climb(now);
  }

  /** The server asks to be left for another connection, of any carrier. */
  leave(now: number): void {
    if (this.#carrier === null || this.#leaving) return;
    this.#leaving = true;
    const { rung } = this.#carrier;
    this.#try([rung, ...this.#policy.rungs.filter((other) => other !== rung)], now);
  }

  opened(id: number, now: number): void {
    const runner = this.#runners.get(id);
    if (runner === undefined || runner.opened) return;
    runner.opened = true;
    if (this.#carrier === null && this.#mover === null) this.#bind(runner, now);
    else this.#actions.push({ type: 'probe', id });
  }

  /** The answer to the ping of `probe` came. */
  proved(id: number, roundTripMs: number, now: number): void {
    const runner = this.#runners.get(id);
    if (runner === undefined || runner.roundTripMs !== null) return;
    runner.roundTripMs = roundTripMs;
    runner.provenAt = now;
    if (this.#isOutdone(runner)) this.#close(runner, 'superseded', null, now);
    this.#consider(now);
  }

  welcomed(id: number, now: number): void {
    const runner = this.#runners.get(id);
    if (runner === undefined) return;
    runner.welcomed = true;
    if (runner !== this.#mover) return;
    const before = this.#carrier;
    this.#carrier = runner;
    this.#mover = null;
    this.#movedAt = now;
    this.#leaving = false;
    if (before !== null) this.#close(before, 'superseded', null, now);
    this.#settle(runner, now);
  }

  /** The first round trip on the connection that the session is on. */
  roundTrip(now: number): void {
    if (this.#carrier?.welcomed !== true || this.#settled) return;
    // What was said to the other one cannot be taken back: the server may be there already.
    if (this.#mover !== null) this.#answered = true;
    else this.#settle(this.#carrier, now);
  }

  /** A connection is lost, or did not come up. `suspect`: do not try this carrier first again. */
  failed(id: number, reason: string, suspect: boolean, now: number): void {
    const runner = this.#runners.get(id);
    if (runner === undefined) return;
    this.#runners.delete(id);
    this.#log(runner, 'failed', reason, now);
    if (runner !== this.#carrier || this.#mover === null) this.#failing.add(runner.rung);
    if (suspect && this.#worked === runner.rung) this.#worked = null;
    if (this.#queue.length > 0) this.#startAt = now;
    if (runner === this.#mover) this.#stay(now);
    else if (runner === this.#carrier) this.#lose(now);
    this.#proceed(now);
    if (this.#runners.size === 0) this.#actions.push({ type: 'exhausted' });
    // Nobody else is there to leave for.
    if (this.#runners.size === 1 && this.#queue.length === 0) this.#leaving = false;
  }

  handleTimeout(now: number): void {
    const { attemptTimeoutMs, moveTimeoutMs } = this.#policy;
    for (const runner of [...this.#runners.values()]) {
      if (runner === this.#mover) {
        if (now < runner.openSentAt + moveTimeoutMs) continue;
      } else if (runner.welcomed || runner.roundTripMs !== null || now < runner.startedAt + attemptTimeoutMs) continue;
      this.#actions.push({ type: 'close', id: runner.id });
      this.failed(runner.id, 'no answer in time', false, now);
    }
    if (now >= this.#climbAt) this.#climb(now);
    this.#consider(now);
    this.#proceed(now);
  }

  nextTimeout(): number | null {
    const { attemptTimeoutMs, moveTimeoutMs } = this.#policy;
    let at = Math.min(this.#climbAt, this.#queue.length > 0 ? this.#startAt : Infinity);
    for (const runner of this.#runners.values()) {
      if (runner === this.#mover) at = Math.min(at, runner.openSentAt + moveTimeoutMs);
      else if (runner.roundTripMs !== null) at = this.#mover === null ? Math.min(at, this.#challengeAt(runner)) : at;
      else if (!runner.welcomed) at = Math.min(at, runner.startedAt + attemptTimeoutMs);
    }
    return at === Infinity ? null : at;
  }

  nextAction(now: number): RaceAction | null {
    this.#proceed(now);
    return this.#actions.shift() ?? null;
  }

  #try(rungs: readonly ControlRung[], now: number): void {
    this.#queue = rungs.filter(
      (rung) => ![...this.#runners.values()].some((r) => r.rung === rung && r !== this.#carrier),
    );
    this.#started = 0;
    this.#startAt = now;
  }

  #climb(now: number): void {
    this.#climbAt = now + this.#policy.climbEveryMs;
    const carrier = this.#carrier;
    if (carrier === null || this.#leaving) return;
    this.#try(
      this.#policy.rungs.filter((rung) => this.#isBetter(rung, carrier.rung)),
      now,
    );
  }

  /** Starts what is due. */
  #proceed(now: number): void {
    while (this.#queue.length > 0 && now >= this.#startAt) {
      const rung = this.#queue.shift() as ControlRung;
      const { gapsMs } = this.#policy;
      this.#startAt = now + (gapsMs[Math.min(this.#started, gapsMs.length - 1)] ?? 0);
      this.#started++;
      const id = ++this.#ids;
      this.#runners.set(id, {
        ...{ id, rung, startedAt: now, opened: false, roundTripMs: null, provenAt: 0, openSentAt: 0 },
        ...{ welcomed: false, logged: false },
      });
      this.#actions.push({ type: 'connect', id, rung });
    }
  }

  /** Whether one that has proved itself is to take over. */
  #consider(now: number): void {
    if (this.#mover !== null) return;
    const proven = [...this.#runners.values()].filter(
      (runner) => runner.roundTripMs !== null && runner !== this.#carrier,
    );
    proven.sort((a, b) => this.#rank(a.rung) - this.#rank(b.rung));
    for (const runner of proven) {
      if (now < this.#challengeAt(runner)) continue;
      if (this.#carrier?.welcomed === true) this.#move(runner, now);
      else {
        if (this.#carrier !== null) this.#close(this.#carrier, 'superseded', 'another carrier was faster', now);
        this.#bind(runner, now);
      }
      return;
    }
  }

  /**
   * When this proven connection takes over from the present one: a better one at once; any other when the present one has
   * had the time in which this one was answered, twice, as its handshake and its ping take.
   */
  #challengeAt(runner: Runner): number {
    const carrier = this.#carrier;
    if (runner === carrier) return Infinity;
    if (carrier === null || this.#leaving) return -Infinity;
    if (carrier.welcomed && this.#isBetter(runner.rung, carrier.rung)) return -Infinity;
    if (this.#settled) return Infinity;
    const dueAt = carrier.openSentAt + 2 * (runner.roundTripMs ?? 0);
    // After a stall of this process, the present one's answer may be what is looked at next.
    return Math.max(dueAt, runner.provenAt) + toleranceMs;
  }

  #bind(runner: Runner, now: number): void {
    if (this.#bound) this.#movedAt = now;
    this.#bound = true;
    this.#carrier = runner;
    this.#settled = false;
    runner.openSentAt = now;
    this.#actions.push({ type: 'bind', id: runner.id });
  }

  #move(runner: Runner, now: number): void {
    this.#mover = runner;
    this.#answered = false;
    this.#movedAt = now;
    runner.openSentAt = now;
    this.#actions.push({ type: 'move', id: runner.id });
  }

  #stay(now: number): void {
    this.#mover = null;
    this.#movedAt = now;
    this.#actions.push({ type: 'stay' });
    if (this.#carrier === null) this.#lose(now);
    else if (this.#answered) this.#settle(this.#carrier, now);
  }

  #settle(runner: Runner, now: number): void {
    this.#settled = true;
    this.#worked = runner.rung;
    this.#log(runner, 'connected', null, now);
    const isBetter = (rung: ControlRung): boolean => this.#isBetter(rung, runner.rung);
    const { climbEveryMs, firstClimbMs, rungs } = this.#policy;
    this.#failing.delete(runner.rung);
    const better = rungs.filter(isBetter);
    const climbInMs = better.every((rung) => this.#failing.has(rung)) ? climbEveryMs : firstClimbMs;
    this.#climbAt = better.length > 0 ? now + climbInMs : Infinity;
    this.#queue = [];
    for (const other of [...this.#runners.values()]) {
      if (this.#isOutdone(other)) this.#close(other, 'superseded', null, now);
    }
    this.#consider(now);
  }

  /** The carrier works, and is no worse. */
  #isOutdone(runner: Runner): boolean {
    const carrier = this.#carrier;
    if (!this.#settled || this.#leaving || carrier === null || runner === carrier || runner === this.#mover)
      return false;
    return !this.#isBetter(runner.rung, carrier.rung);
  }

  #lose(now: number): void {
    const worked = this.#settled;
    this.#carrier = null;
    this.#settled = false;
    this.#leaving = false;
    this.#climbAt = Infinity;
    // The server has left it for the connection that is being moved to, or will have to.
    if (this.#mover !== null) return;
    const others = [...this.#runners.values()].filter(({ opened }) => opened);
    const next = others.find(({ roundTripMs }) => roundTripMs !== null) ?? others[0];
    this.#actions.push({ type: 'lost' });
    if (next !== undefined) this.#bind(next, now);
    // Attempts to climb are under way: they may take long, so the others are tried as well.
    else if (worked && this.#runners.size > 0) this.start(now);
  }

  #close(runner: Runner, outcome: RaceOutcome, reason: string | null, now: number): void {
    this.#runners.delete(runner.id);
    this.#log(runner, outcome, reason, now);
    this.#actions.push({ type: 'close', id: runner.id });
  }

  #log(runner: Runner, outcome: RaceOutcome, reason: string | null, now: number): void {
    if (runner.logged) return;
    runner.logged = true;
    const { id, rung, startedAt } = runner;
    this.#actions.push({ type: 'attempt', id, rung, outcome, ms: now - startedAt, reason });
  }

  #isBetter(rung: ControlRung, than: ControlRung): boolean {
    return this.#rank(rung) < this.#rank(than);
  }

  #rank(rung: ControlRung): number {
    return this.#policy.rungs.indexOf(rung);
  }
}
