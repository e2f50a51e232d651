/** All that a call keeps of its rungs: the tries to open them, the story of the ladder, what this network needed. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { RungAttempt, RungChange } from '../call.ts';
import type { ClientClock } from '../clock.ts';
import type { ProofResult } from '../ice/index.ts';
import { AttemptLog } from './attempt-log.ts';
import { LadderLog } from './ladder-log.ts';
import type { LadderEvent } from './ladder-log.ts';
import type { Evidence } from './path-evidence.ts';
import type { NetworkMemory } from './path-memory.ts';

export interface RungRecordsEvents {
  /** An attempt to open a rung has ended. */
  attempt(attempt: RungAttempt): void;
  /** Anything that concerns the ladder, for telemetry. */
  ladder(event: LadderEvent): void;
}

export class RungRecords {
  readonly #clock: ClientClock;
  readonly #memory: NetworkMemory;
  readonly #attempts: AttemptLog;
  readonly #log: LadderLog;
  #closed = false;

  constructor(clock: ClientClock, memory: NetworkMemory, events: RungRecordsEvents) {
    this.#clock = clock;
    this.#memory = memory;
    this.#log = new LadderLog((event) => {
      if (!this.#closed) events.ladder(event);
    }, clock.now());
    this.#attempts = new AttemptLog((attempt) => {
      this.#log.attempt(attempt, clock.now());
      events.attempt(attempt);
    });
  }

  get attempts(): readonly RungAttempt[] {
    return this.#attempts.list(this.#clock.now());
  }

  get ladder(): readonly LadderEvent[] {
    return this.#log.events;
  }

  /** Paths are tried from now on. Returns the rung that this network needed last, or null. */
  start(): Rung | null {
    this.#log.start(this.#clock.now());
    return this.#memory.recall();
  }

  /** A try to open the rung begins, unless one goes on. */
  begin(rung: Rung): void {
    this.#attempts.begin(rung, this.#clock.now());
  }

  /** It ends, if one goes on. */
  end(rung: Rung, outcome: 'connected' | 'failed' | 'superseded', reason?: string): void {
    this.#attempts.end(rung, outcome, this.#clock.now(), reason);
  }

  skip(rung: Rung, reason: string): void {
    this.#attempts.skip(rung, reason);
  }

  proof(rung: Rung, result: ProofResult): void {
    this.#log.proof(rung, result, this.#clock.now());
  }

  degraded(evidence: Evidence): void {
    this.#log.degraded(evidence);
  }

  /** Media goes on a path of `to`; `pinned`: because the application asked for it. */
  moved(change: RungChange, pinned: boolean): void {
    this.#memory.moved(pinned ? null : change.to);
    if (change.from !== change.to) this.#log.moved(change, this.#clock.now());
  }

  /** Idempotent; no event follows. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#memory.close();
    this.#log.end(this.#clock.now());
  }
}
