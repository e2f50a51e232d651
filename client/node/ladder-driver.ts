/** Runs the ladder on real time: one timer, and its actions carried out. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import { Ladder } from './ladder.ts';
import type { LadderAction } from './ladder.ts';

export interface LadderDriverEvents {
  /** Opens or closes what the ladder says. */
  act(action: LadderAction): void;
  /** The rung that is asked for; a rung that fails is not any more. */
  pinned(): Rung | null;
}

export class LadderDriver {
  readonly #clock: ClientClock;
  readonly #events: LadderDriverEvents;
  #ladder: Ladder | null = null;
  #timer: unknown = null;
  #timerAt = Infinity;

  constructor(clock: ClientClock, events: LadderDriverEvents) {
    this.#clock = clock;
    this.#events = events;
  }

  /** `available`: the rungs to open and close; the others are as for {@link Ladder.start}. */
  start(available: Iterable<Rung>, udpFirst: boolean, remembered: Rung | null): void {
    this.#ladder = new Ladder(available);
    this.#ladder.start(this.#clock.now(), udpFirst, remembered);
  }

  /** Tells the ladder something, and does what it says then. Nothing happens before `start` and after `close`. */
  tell(tell: (ladder: Ladder, now: number) => void = () => undefined): void {
    const ladder = this.#ladder;
    if (ladder === null) return;
    const now = this.#clock.now();
    tell(ladder, now);
    ladder.pin(this.#events.pinned());
    for (let action = ladder.next(now); action !== null; action = ladder.next(now)) this.#events.act(action);
    // An action may have led the owner to close.
    if (this.#ladder !== null) this.#schedule(ladder, now);
  }

  /** Idempotent. */
  close(): void {
    this.#ladder = null;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
  }

  #schedule(ladder: Ladder, now: number): void {
    const due = ladder.nextTimeout(now) ?? Infinity;
    if (due === this.#timerAt && this.#timer !== null) return;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
    this.#timerAt = due;
    if (due === Infinity) return;
    this.#timer = this.#clock.setTimer(
      () => {
        this.#timer = null;
        this.tell();
      },
      Math.max(0, due - now),
    );
  }
}
