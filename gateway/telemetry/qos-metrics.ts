/** What clients tell of their calls, as Prometheus metrics. Every label is one of a few fixed words. */
import { Counter, Histogram, type Registry } from 'prom-client';
import type { QosEvent, QosTrack } from '../../tunnel-protocol/index.ts';

const mosBuckets = [1, 1.5, 2, 2.5, 3, 3.5, 3.8, 4, 4.2, 4.3, 4.4, 4.5];
const secondsBuckets = [0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2, 5, 10];
const joinBuckets = [0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30];
const ratioBuckets = [0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];

/** What became of an event. */
export type QosOutcome = 'accepted' | 'unwritten';

export class QosMetrics {
  readonly #events: Counter<'outcome'>;
  readonly #mos: Histogram<'rung'>;
  readonly #roundTrip: Histogram<'rung'>;
  readonly #jitter: Histogram<'kind' | 'direction'>;
  readonly #loss: Histogram<'kind' | 'direction'>;
  readonly #concealed: Histogram;
  readonly #freezeSeconds: Counter;
  readonly #freezes: Counter;
  readonly #join: Histogram<'step'>;
  readonly #attempts: Counter<'rung' | 'channel' | 'outcome'>;
  readonly #dwell: Counter<'rung'>;
  readonly #changes: Counter<'from' | 'to' | 'reason'>;
  readonly #reconnections: Counter<'of'>;

  constructor(registry: Registry) {
    const registers = [registry];
    const told = 'As clients tell:';
    const histogram = <L extends string>(name: string, help: string, labelNames: L[], buckets: number[]) =>
      new Histogram({ name: `sallyport_qos_${name}`, help: `${told} ${help}`, labelNames, buckets, registers });
    const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
      new Counter({ name: `sallyport_qos_${name}_total`, help: `${told} ${help}`, labelNames, registers });
    this.#events = counter('events', 'telemetry events, by whether they could be written to the file', ['outcome']);
    this.#mos = histogram('mos', 'mean opinion score of received audio by ITU-T G.107', ['rung'], mosBuckets);
    this.#roundTrip = histogram('round_trip_seconds', 'round trip of the media path', ['rung'], secondsBuckets);
    this.#jitter = histogram('jitter_seconds', 'jitter of tracks', ['kind', 'direction'], secondsBuckets);
    this.#loss = histogram('loss_ratio', 'packets lost of those sent', ['kind', 'direction'], ratioBuckets);
    this.#concealed = histogram('concealed_ratio', 'audio that was made up of that played', [], ratioBuckets);
    this.#freezes = counter('freezes', 'pictures that stood still', []);
    this.#freezeSeconds = counter('freeze_seconds', 'how long pictures stood still', []);
    this.#join = histogram('join_seconds', 'from the beginning of a join to the end of a step', ['step'], joinBuckets);
    this.#attempts = counter('attempts', 'tries to open a rung', ['rung', 'channel', 'outcome']);
    this.#dwell = counter('dwell_seconds', 'time that media spent on a rung', ['rung']);
    this.#changes = counter('rung_changes', 'media that moved to another rung', ['from', 'to', 'reason']);
    this.#reconnections = counter('reconnections', 'connections made again after a loss', ['of']);
  }

  count(outcome: QosOutcome, events = 1): void {
    this.#events.inc({ outcome }, events);
  }

  take(event: QosEvent): void {
    this.count('accepted');
    if (event.mos !== null) this.#mos.observe({ rung: event.rung }, event.mos);
    if (event.roundTripMs !== null) this.#roundTrip.observe({ rung: event.rung }, event.roundTripMs / 1000);
    // The later events of a call repeat what the first one told of the join.
    if (event.seq === 0) this.#takeJoin(event);
    for (const { rung, channel, outcome } of event.attempts) this.#attempts.inc({ rung, channel, outcome });
    for (const { rung, ms } of event.dwells) this.#dwell.inc({ rung }, ms / 1000);
    for (const { from, to, reason } of event.changes) {
      if (from !== null) this.#changes.inc({ from, to, reason });
    }
    this.#reconnections.inc({ of: 'media' }, event.reconnections.media);
    this.#reconnections.inc({ of: 'control' }, event.reconnections.control);
    for (const track of event.tracks) this.#takeTrack(track);
  }

  #takeJoin({ join }: QosEvent): void {
    const steps = {
      session: join.sessionMs,
      control: join.controlMs,
      ice: join.iceMs,
      dtls: join.dtlsMs,
      'first-media': join.firstMediaMs,
    };
    for (const [step, ms] of Object.entries(steps)) if (ms !== null) this.#join.observe({ step }, ms / 1000);
  }

  #takeTrack(track: QosTrack): void {
    const { kind, direction, packets, lost, jitterMs, concealedFraction, freezes, freezeMs } = track;
    if (jitterMs !== null) this.#jitter.observe({ kind, direction }, jitterMs / 1000);
    const expected = direction === 'send' ? packets : packets + lost;
    if (expected > 0) this.#loss.observe({ kind, direction }, Math.min(1, lost / expected));
    if (concealedFraction !== null) this.#concealed.observe(concealedFraction);
    if (freezes !== null) this.#freezes.inc(freezes);
    if (freezeMs !== null) this.#freezeSeconds.inc(freezeMs / 1000);
  }
}
