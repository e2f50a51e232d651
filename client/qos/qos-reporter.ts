/** Sends a call's telemetry on its control channel: every 30 s, and once more when the call is left. */
import { qosIntervalMs } from '../../tunnel-protocol/index.ts';
import type { QosEvent } from '../../tunnel-protocol/index.ts';
import type { CallEvents } from '../call.ts';
import type { ClientClock } from '../clock.ts';
import type { ControlClient } from '../control/index.ts';
import type { EventSource } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import { QosRecorder } from './qos-recorder.ts';
import type { QosRecorderOptions, QosSample } from './qos-recorder.ts';

export interface QosReporterParts extends Omit<QosRecorderOptions, 'now'> {
  readonly events: EventSource<Pick<CallEvents<unknown>, 'rung'>>;
  readonly control: ControlClient;
  readonly clock: ClientClock;
  readonly sample: () => QosSample;
}

export class QosReporter {
  readonly #parts: QosReporterParts;
  readonly #recorder: QosRecorder;
  readonly #cleanUp: (() => void)[] = [];
  #timer: unknown = null;
  #stopped = false;

  constructor(parts: QosReporterParts) {
    const { clock, control, events } = parts;
    this.#parts = parts;
    this.#recorder = new QosRecorder({ ...parts, now: clock.now() });
    this.#cleanUp.push(
      events.on('rung', (change) => {
        if (change.from !== null) this.#recorder.rungChanged(change, clock.now());
      }),
      control.on('connected', ({ resumed }) => {
        if (resumed) this.#recorder.reconnected('control');
      }),
    );
    this.#schedule();
  }

  mediaReconnected(): void {
    this.#recorder.reconnected('media');
  }

  /** The last event. It leaves before whatever is asked on the channel next; nobody waits for its answer. */
  finish(): void {
    if (!this.#stopped) this.#send(true);
    this.stop();
  }

  /** Idempotent; nothing is sent any more. */
  stop(): void {
    this.#stopped = true;
    for (const clean of this.#cleanUp.splice(0)) clean();
    if (this.#timer !== null) this.#parts.clock.clearTimer(this.#timer);
    this.#timer = null;
  }

  #schedule(): void {
    this.#timer = this.#parts.clock.setTimer(() => {
      this.#send(false);
      if (!this.#stopped) this.#schedule();
    }, qosIntervalMs);
  }

  #send(final: boolean): void {
    const { clock, control, sample } = this.#parts;
    const event: QosEvent = this.#recorder.take(sample(), final, clock.now());
    control.request({ type: 'telemetry', event }).catch((error: unknown) => {
      // An edge of an earlier version knows no telemetry: it is not asked again. A busy one, or one out of reach, is.
      if (error instanceof ClientError && error.serverCode === 'bad-request') this.stop();
    });
  }
}
