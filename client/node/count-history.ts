/** How much was sent and received at times gone by, for comparison with what a peer said of them. */

export interface Counts {
  readonly sent: number;
  readonly received: number;
}

interface Sample extends Counts {
  readonly at: number;
}

/** At four samples a second and one for each report, some seconds. */
const maxSamples = 48;

export class CountHistory {
  readonly #samples: Sample[] = [];

  clear(): void {
    this.#samples.length = 0;
  }

  note(at: number, sent: number, received: number): void {
    this.#samples.push({ at, sent, received });
    if (this.#samples.length > maxSamples) this.#samples.shift();
  }

  /** In between two samples, what an even flow would give; before the first and behind the last, theirs. */
  at(time: number): Counts {
    const next = this.#samples.findIndex(({ at }) => at >= time);
    const after = this.#samples[next === -1 ? this.#samples.length - 1 : next];
    if (after === undefined) return { sent: 0, received: 0 };
    const before = this.#samples[next - 1];
    if (next === -1 || before === undefined || after.at <= before.at) return after;
    const share = (time - before.at) / (after.at - before.at);
    const between = (from: number, to: number): number => from + share * (to - from);
    return { sent: between(before.sent, after.sent), received: between(before.received, after.received) };
  }
}
