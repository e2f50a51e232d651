/** Runs the sans-I/O ICE agent and the path policy on real time: datagrams in and out, one timer, nominations. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { RungReason } from '../call.ts';
import type { ClientClock } from '../clock.ts';
import { IceClient } from '../ice/index.ts';
import type { IceClientEvent, IceCredentials, IcePathFailure, ProofResult } from '../ice/index.ts';
import { PathPolicy } from './path-policy.ts';

export interface IceDriverEvents {
  /** The bytes are given away. */
  send(pathId: string, datagram: Uint8Array): void;
  /** A nomination is on its way: what is sent on the path now comes behind it. */
  nominating(pathId: string): void;
  /** The peer confirmed the nomination of this number: media goes on this path. */
  nominated(pathId: string, reason: RungReason, nomination: number): void;
  /** A better path was tried. */
  proof(pathId: string, result: ProofResult): void;
  /** No path carries media any more, until the next `nominated`. */
  stranded(): void;
  /** Its first answered check. */
  validated(pathId: string): void;
  /** No answer, or none any more. Unless the path is rechecked, it is removed already. */
  failed(pathId: string, reason: IcePathFailure): void;
  /** A path that failed is checked again. */
  rechecking(pathId: string): void;
  /** A further check was answered; null when it is unknown which one. */
  answered(pathId: string, roundTripMs: number | null): void;
  /** The nominated path is silent, and is asked for a sign of life. */
  suspected(pathId: string): void;
}

/** After a path failed, it is checked again: soon, then ever more seldom. */
const firstRecheckMs = 3_000;
const maxRecheckMs = 60_000;

interface DrivenPath {
  readonly rung: Rung;
  readonly recheckable: boolean;
  failures: number;
  recheck: unknown;
}

export class IceDriver {
  readonly #clock: ClientClock;
  readonly #events: IceDriverEvents;
  readonly #policy = new PathPolicy();
  readonly #paths = new Map<string, DrivenPath>();
  readonly #agent = new IceClient({
    random: (length) => randomBytes(length),
    hmacSha1: (key, data) => createHmac('sha1', key).update(data).digest(),
  });
  #timer: unknown = null;
  #timerAt = Infinity;
  #nominated: string | null = null;
  #reason: RungReason = 'joined';
  #running = false;
  #closed = false;

  constructor(clock: ClientClock, events: IceDriverEvents) {
    this.#clock = clock;
    this.#events = events;
  }

  get local(): IceCredentials {
    return this.#agent.local;
  }

  /** The path that media is on, or null. */
  get nominated(): string | null {
    return this.#nominated;
  }

  get pinned(): Rung | null {
    return this.#policy.pinned;
  }

  rungOf(pathId: string): Rung | null {
    return this.#paths.get(pathId)?.rung ?? null;
  }

  /** The peer's credentials from the answer: checks begin. */
  start(remote: IceCredentials): void {
    this.#agent.setRemote(remote, this.#clock.now());
    this.#run();
  }

  /** True after the rung failed, for a time in which it is not climbed to. */
  isPenalised(rung: Rung): boolean {
    return this.#policy.isPenalised(rung, this.#clock.now());
  }

  /** A path of the rung is valid or being checked. */
  hasHope(rung: Rung): boolean {
    return this.#policy.hasHope(rung);
  }

  /** `recheck`: after it failed it is checked again by itself, for it costs nothing to have it. */
  addPath(pathId: string, rung: Rung, recheck: boolean): void {
    this.removePath(pathId);
    this.#paths.set(pathId, { rung, recheckable: recheck, failures: 0, recheck: null });
    this.#check(pathId, rung);
  }

  /** The path is gone, its connection for one. */
  removePath(pathId: string): void {
    const path = this.#paths.get(pathId);
    if (path === undefined) return;
    if (path.recheck !== null) this.#clock.clearTimer(path.recheck);
    this.#paths.delete(pathId);
    this.#agent.removePath(pathId);
    this.#policy.failed(pathId, this.#clock.now());
    this.#leave(pathId);
    this.#run();
  }

  /** A datagram of class STUN; borrowed. */
  receive(pathId: string, datagram: Uint8Array): void {
    const now = this.#clock.now();
    this.#agent.receive(pathId, datagram, now);
    this.#run();
  }

  /** Evidence against the nominated path: another one is gone to, now or when there is one. */
  degraded(): void {
    this.#policy.degraded(this.#clock.now());
    this.#run();
  }

  /** The network has changed, or is back: what failed before is checked at once, and may be climbed to. */
  retry(): void {
    this.#policy.retry();
    this.recheck(null);
    this.#run();
  }

  /** The rung that this network needed before. */
  remember(rung: Rung | null): void {
    this.#policy.remember(rung);
  }

  /** Any other datagram that was authentic: a sign of life. Cheap, for it is told of every packet. */
  heard(pathId: string, now: number): void {
    this.#policy.heard(pathId, now);
  }

  /** Asks for this rung as long as it works; null lets the policy choose. Failed paths of it are checked at once. */
  prefer(rung: Rung | null): void {
    this.#policy.pin(rung);
    if (rung !== null) this.recheck(rung);
    this.#run();
  }

  /** Failed paths of this rung, or of all, are checked at once. */
  recheck(rung: Rung | null): void {
    for (const [pathId, path] of this.#paths) {
      if ((rung === null || path.rung === rung) && path.recheck !== null) this.#recheck(pathId, path);
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    for (const { recheck } of this.#paths.values()) if (recheck !== null) this.#clock.clearTimer(recheck);
    this.#timer = null;
    this.#paths.clear();
  }

  #check(pathId: string, rung: Rung): void {
    this.#policy.checking(pathId, rung);
    this.#agent.addPath(pathId, rung, this.#clock.now());
    this.#run();
  }

  #recheck(pathId: string, path: DrivenPath): void {
    if (path.recheck !== null) this.#clock.clearTimer(path.recheck);
    path.recheck = null;
    this.#events.rechecking(pathId);
    this.#check(pathId, path.rung);
  }

  /** Until neither the agent nor the policy has anything to say. */
  #run(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    try {
      do {
        for (let event = this.#agent.nextEvent(); event !== null; event = this.#agent.nextEvent()) this.#handle(event);
      } while (this.#decide());
      for (let out = this.#agent.nextOutput(); out !== null; out = this.#agent.nextOutput()) {
        this.#events.send(out.pathId, out.datagram);
      }
    } finally {
      this.#running = false;
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#closed) return;
    const now = this.#clock.now();
    const due = Math.min(this.#agent.nextTimeout() ?? Infinity, this.#policy.nextTimeout(now) ?? Infinity);
    // The next STUN datagram comes within seconds; a timer that fires early does no harm.
    if (due === this.#timerAt) return;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
    this.#timerAt = due;
    if (due === Infinity) return;
    this.#timer = this.#clock.setTimer(
      () => {
        this.#timer = null;
        this.#timerAt = Infinity;
        this.#agent.handleTimeout(this.#clock.now());
        this.#run();
      },
      Math.max(0, due - now),
    );
  }

  #handle(event: IceClientEvent): void {
    const now = this.#clock.now();
    const path = this.#paths.get(event.pathId);
    if (path === undefined) return;
    switch (event.type) {
      case 'validated':
        this.#policy.validated(event.pathId, now);
        this.#events.validated(event.pathId);
        return;
      case 'round-trip':
        this.#policy.heard(event.pathId, now);
        this.#events.answered(event.pathId, event.ms);
        return;
      case 'nominated': {
        path.failures = 0;
        const again = this.#nominated === event.pathId;
        this.#nominated = event.pathId;
        this.#policy.heard(event.pathId, now);
        this.#policy.nominated(event.pathId, now);
        if (again) this.#events.answered(event.pathId, null);
        else this.#events.nominated(event.pathId, this.#reason, event.nomination);
        return;
      }
      case 'proof':
        this.#policy.proved(event.pathId, event.result.proven, now);
        this.#events.proof(event.pathId, event.result);
        return;
      case 'nomination-failed':
        this.#failed(event.pathId, path, 'unanswered');
        return;
      case 'failed':
        this.#failed(event.pathId, path, event.reason);
        return;
    }
  }

  #failed(pathId: string, path: DrivenPath, reason: IcePathFailure): void {
    if (!path.recheckable) {
      this.removePath(pathId);
      this.#events.failed(pathId, reason);
      return;
    }
    this.#agent.removePath(pathId);
    this.#policy.failed(pathId, this.#clock.now());
    this.#leave(pathId);
    this.#events.failed(pathId, reason);
    if (path.recheck !== null) return;
    const waitMs = Math.min(maxRecheckMs, firstRecheckMs * 2 ** path.failures);
    path.failures += 1;
    path.recheck = this.#clock.setTimer(() => {
      this.#recheck(pathId, path);
    }, waitMs);
  }

  #leave(pathId: string): void {
    if (this.#nominated !== pathId) return;
    this.#nominated = null;
    this.#events.stranded();
  }

  /** True when something was decided. */
  #decide(): boolean {
    // An event may have led the owner to close.
    if (this.#closed) return false;
    const now = this.#clock.now();
    const decision = this.#policy.decide(now);
    if (decision === null) return false;
    const { pathId } = decision;
    if (decision.type === 'prove') {
      if (!this.#agent.prove(pathId, now)) this.#policy.proved(pathId, false, now);
      return false;
    }
    if (!this.#agent.nominate(pathId, now)) {
      this.#policy.failed(pathId, now);
      return true;
    }
    if (decision.type === 'probe') {
      this.#events.suspected(pathId);
      return false;
    }
    this.#reason = decision.reason;
    this.#policy.nominationBegan(pathId);
    // The nomination leaves first, then what follows from it.
    for (let out = this.#agent.nextOutput(); out !== null; out = this.#agent.nextOutput()) {
      this.#events.send(out.pathId, out.datagram);
    }
    this.#events.nominating(pathId);
    return true;
  }
}
