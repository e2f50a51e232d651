/** Changes of rung that were asked for and have not come about yet. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import { ClientError } from '../errors.ts';

interface Switch {
  readonly rung: Rung;
  readonly settle: (error: ClientError | null) => void;
}

const timeoutMs = 8_000;

export class RungSwitches {
  readonly #clock: ClientClock;
  readonly #waiting = new Set<Switch>();

  constructor(clock: ClientClock) {
    this.#clock = clock;
  }

  /** Resolves when media goes on the rung. Rejects with `rung-unavailable`, after 8 s at the latest. */
  wait(rung: Rung): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const timer = this.#clock.setTimer(() => {
        entry.settle(new ClientError('rung-unavailable', { detail: `${rung}: no answer` }));
      }, timeoutMs);
      const entry: Switch = {
        rung,
        settle: (error) => {
          this.#clock.clearTimer(timer);
          this.#waiting.delete(entry);
          if (error === null) resolve();
          else reject(error);
        },
      };
      this.#waiting.add(entry);
    });
  }

  nominated(rung: Rung): void {
    this.#settle((waiting) => waiting === rung, null);
  }

  failed(rung: Rung, reason: string): void {
    this.#settle((waiting) => waiting === rung, new ClientError('rung-unavailable', { detail: `${rung}: ${reason}` }));
  }

  close(): void {
    this.#settle(() => true, new ClientError('left'));
  }

  #settle(concerned: (rung: Rung) => boolean, error: ClientError | null): void {
    for (const { rung, settle } of [...this.#waiting]) if (concerned(rung)) settle(error);
  }
}
