/** Notices that this machine is on another network: its addresses or its gateway are others. */
import type { ClientClock } from '../clock.ts';
import { networkFacts } from './path-memory.ts';

/** It costs a fraction of a millisecond to look. */
const lookMs = 2_000;

export class NetworkWatch {
  readonly #clock: ClientClock;
  readonly #onChange: () => void;
  readonly #facts: () => readonly string[];
  #known: string;
  #timer: unknown;

  /** Looks every 2 s until it is closed. */
  constructor(clock: ClientClock, onChange: () => void, facts: () => readonly string[] = networkFacts) {
    this.#clock = clock;
    this.#onChange = onChange;
    this.#facts = facts;
    this.#known = facts().join();
    this.#timer = this.#wait();
  }

  /** Idempotent. */
  close(): void {
    this.#clock.clearTimer(this.#timer);
    this.#timer = null;
  }

  #wait(): unknown {
    return this.#clock.setTimer(() => {
      this.#timer = this.#wait();
      const found = this.#facts().join();
      if (found === this.#known) return;
      this.#known = found;
      this.#onChange();
    }, lookMs);
  }
}
