/** Exchanges reports on the media path with the server, over the control channel, and tells when they speak against it. */
import type { ClientClock } from '../clock.ts';
import type { ControlClient } from '../control/index.ts';
import { PathEvidence } from './path-evidence.ts';
import type { Evidence } from './path-evidence.ts';

export class PathWatch {
  readonly #control: ControlClient;
  readonly #clock: ClientClock;
  readonly #onEvidence: (evidence: Evidence) => void;
  readonly #evidence = new PathEvidence();
  readonly #unsubscribe: () => void;
  #timer: unknown = null;
  #timerAt = Infinity;

  constructor(control: ControlClient, clock: ClientClock, onEvidence: (evidence: Evidence) => void) {
    this.#control = control;
    this.#clock = clock;
    this.#onEvidence = onEvidence;
    this.#unsubscribe = control.on('report', (report) => {
      this.#evidence.receive(report, clock.now());
      this.#run();
    });
  }

  /** Media goes on the path of this nomination; null: on the control channel's own connection, which is its own witness. */
  watch(nomination: number | null): void {
    this.#evidence.watch(nomination, this.#clock.now());
    this.#run();
  }

  /** A media datagram went on the watched path. Cheap, for it is told of every packet. */
  sent(bytes: number): void {
    this.#evidence.sent(bytes);
  }

  /** An authentic one came on it. */
  received(bytes: number, now: number): void {
    this.#evidence.received(bytes, now);
  }

  /** Idempotent. */
  close(): void {
    this.#unsubscribe();
    this.#evidence.watch(null, this.#clock.now());
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
  }

  #run(): void {
    const now = this.#clock.now();
    const report = this.#evidence.takeReport(now);
    if (report !== null) this.#control.sendReport(report);
    const evidence = this.#evidence.verdict(now);
    if (evidence !== null) this.#onEvidence(evidence);
    this.#schedule(now);
  }

  #schedule(now: number): void {
    const due = this.#evidence.nextTimeout();
    if (due === this.#timerAt && this.#timer !== null) return;
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer);
    this.#timer = null;
    this.#timerAt = due;
    if (due === Infinity) return;
    this.#timer = this.#clock.setTimer(
      () => {
        this.#timer = null;
        this.#run();
      },
      Math.max(0, due - now),
    );
  }
}
