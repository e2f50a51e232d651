/** A clock for tests that stands still until it is told to go on. */
import type { ClientClock } from '../clock.ts';

interface VirtualTimer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

export class VirtualClock implements ClientClock {
  readonly #timers = new Set<VirtualTimer>();
  #now = 0;
  #order = 0;

  now(): number {
    return this.#now;
  }

  setTimer(fire: () => void, ms: number): VirtualTimer {
    const timer = { at: this.#now + ms, order: this.#order++, fire };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(timer: unknown): void {
    this.#timers.delete(timer as VirtualTimer);
  }

  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Fires the timers of the next `ms`, each at its time and those that they set as well. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let timer = this.#earliest(end); timer !== null; timer = this.#earliest(end)) {
      this.#timers.delete(timer);
      this.#now = Math.max(this.#now, timer.at);
      timer.fire();
    }
    this.#now = end;
  }

  /** Lets time pass as in a process that is stopped: timers are late. */
  jump(ms: number): void {
    this.#now += ms;
  }

  #earliest(until: number): VirtualTimer | null {
    let found: VirtualTimer | null = null;
    for (const timer of this.#timers) {
      if (timer.at > until) continue;
      if (found === null || timer.at < found.at || (timer.at === found.at && timer.order < found.order)) found = timer;
    }
    return found;
  }
}
