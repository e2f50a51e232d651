/** When the steps of a join were done, in ms from its beginning. */
import type { QosJoin } from '../../tunnel-protocol/index.ts';

export class JoinTimeline {
  #steps: QosJoin = { sessionMs: null, controlMs: null, iceMs: null, dtlsMs: null, firstMediaMs: null };

  get steps(): QosJoin {
    return this.#steps;
  }

  /** The first time counts. */
  reached(step: keyof QosJoin, ms: number): void {
    if (this.#steps[step] === null) this.#steps = { ...this.#steps, [step]: ms };
  }
}
