/** A clock that tests turn by hand. Between two instants, promises get their turn. */
import type { DtlsClock } from '../../../tunnel-protocol/index.ts';

interface Timer {
  readonly at: number;
  readonly fire: () => void;
}

export class VirtualTime implements DtlsClock {
  #now = 0;
  /** In order of setting, which decides among equal times. */
  readonly #timers = new Set<Timer>();

  /** Timers that are set: 0 means that nothing would ever happen again. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  setTimer(fire: () => void, ms: number): Timer {
    const timer = { at: this.#now + ms, fire };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(timer: unknown): void {
    this.#timers.delete(timer as Timer);
  }

  /** Goes on until `isDone`, or nothing is left to happen, or `limitMs` have passed. */
  async run(limitMs: number, isDone: () => boolean = () => false): Promise<void> {
    const end = this.#now + limitMs;
    for (;;) {
      await new Promise(setImmediate);
      const next = this.#next();
      if (isDone()) return;
      if (next === null || next.at > end) {
        this.#now = end;
        return;
      }
      this.#now = next.at;
      this.#timers.delete(next);
      next.fire();
    }
  }

  #next(): Timer | null {
    let next: Timer | null = null;
    for (const timer of this.#timers) if (next === null || timer.at < next.at) next = timer;
    return next;
  }
}
