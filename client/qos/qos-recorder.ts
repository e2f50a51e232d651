/** Collects what a call's telemetry tells, from the call's own figures. Clock and randomness come from outside. */
import { opusMos, qosLimits, qosVersion } from '../../tunnel-protocol/index.ts';
import type { QosChange, QosEvent, QosJoin, QosTrack, Rung } from '../../tunnel-protocol/index.ts';
import type { CallStats, RungAttempt, RungChange, TrackStats } from '../call.ts';

/** Where a client has no jitter buffer, or cannot see it: what a browser's holds at least. */
const assumedPlayoutMs = 40;

export interface QosRecorderOptions {
  readonly client: QosEvent['client'];
  /** 32 random bits. */
  readonly call: number;
  readonly rung: Rung;
  readonly now: number;
}

/** The figures of the call at the end of an interval. */
export interface QosSample {
  readonly stats: CallStats;
  readonly attempts: readonly RungAttempt[];
  readonly join: QosJoin;
}

export class QosRecorder {
  readonly #options: QosRecorderOptions;
  readonly #before = new Map<string, TrackStats>();
  readonly #dwells = new Map<Rung, number>();
  readonly #toldAttempts = new Set<string>();
  #changes: QosChange[];
  #reconnections = { media: 0, control: 0 };
  #seq = 0;
  #takenAt: number;
  #rung: Rung;
  #rungAt: number;

  constructor(options: QosRecorderOptions) {
    this.#options = options;
    this.#takenAt = options.now;
    this.#rung = options.rung;
    this.#rungAt = options.now;
    this.#changes = [{ from: null, to: options.rung, reason: 'joined' }];
  }

  rungChanged({ from, to, reason }: RungChange, now: number): void {
    this.#dwell(now);
    this.#rung = to;
    // A call that changes more often than that is told of by its dwells and by its latest changes.
    this.#changes = [...this.#changes.slice(1 - qosLimits.maxChanges), { from, to, reason }];
  }

  /** Media, or the control channel, is connected again after an interruption. */
  reconnected(what: 'media' | 'control'): void {
    this.#reconnections[what] += 1;
  }

  /** The event of the time since the one before, or since the beginning. */
  take({ stats, attempts, join }: QosSample, final: boolean, now: number): QosEvent {
    this.#dwell(now);
    const { call, client, now: startedAt } = this.#options;
    const intervalMs = now - this.#takenAt;
    const tracks = stats.tracks.slice(0, qosLimits.maxTracks).map((track) => this.#track(track, stats, intervalMs));
    const scores = tracks.flatMap(({ mos }) => mos ?? []);
    const event: QosEvent = {
      v: qosVersion,
      call,
      seq: this.#seq,
      final,
      client,
      durationMs: rounded(now - startedAt),
      intervalMs: rounded(intervalMs),
      rung: stats.rung,
      controlRung: stats.controlRung,
      join: {
        sessionMs: rounded(join.sessionMs),
        controlMs: rounded(join.controlMs),
        iceMs: rounded(join.iceMs),
        dtlsMs: rounded(join.dtlsMs),
        firstMediaMs: rounded(join.firstMediaMs),
      },
      roundTripMs: rounded(stats.roundTripMs),
      controlRoundTripMs: rounded(stats.controlRoundTripMs),
      mos: scores.length === 0 ? null : Math.min(...scores),
      attempts: this.#newAttempts(attempts),
      dwells: [...this.#dwells].map(([rung, ms]) => ({ rung, ms: rounded(ms) })),
      changes: this.#changes,
      reconnections: this.#reconnections,
      tracks,
    };
    this.#seq += 1;
    this.#takenAt = now;
    this.#dwells.clear();
    this.#changes = [];
    this.#reconnections = { media: 0, control: 0 };
    return event;
  }

  #dwell(now: number): void {
    this.#dwells.set(this.#rung, (this.#dwells.get(this.#rung) ?? 0) + now - this.#rungAt);
    this.#rungAt = now;
  }

  /** Ended ones that were not told yet. An attempt has no name; its rung, outcome and duration together are one. */
  #newAttempts(attempts: readonly RungAttempt[]): QosEvent['attempts'] {
    const fresh: QosEvent['attempts'][number][] = [];
    const seen = new Set<string>();
    for (const { rung, channel = 'media', outcome, ms } of attempts) {
      if (outcome === 'pending') continue;
      const key = `${channel} ${rung} ${outcome} ${String(ms)}`;
      seen.add(key);
      if (!this.#toldAttempts.has(key)) fresh.push({ rung, channel, outcome, ms: rounded(ms) });
    }
    // The lists that they come from are bounded, so this one is.
    this.#toldAttempts.clear();
    for (const key of seen) this.#toldAttempts.add(key);
    return fresh.slice(-qosLimits.maxAttempts);
  }

  #track(track: TrackStats, stats: CallStats, intervalMs: number): QosTrack {
    const { mid, kind, direction, jitterMs } = track;
    const before = this.#before.get(`${direction} ${mid}`);
    this.#before.set(`${direction} ${mid}`, track);
    const since = (read: (of: TrackStats) => number | undefined): number | null => {
      const value = read(track);
      if (value === undefined) return null;
      return Math.max(0, value - ((before === undefined ? undefined : read(before)) ?? 0));
    };
    const packets = since((of) => of.packets) ?? 0;
    const lost = since((of) => of.lost) ?? 0;
    const heard = kind === 'audio' && direction === 'receive';
    const concealedFraction = heard
      ? ratio(
          since((of) => of.concealedSamples),
          since((of) => of.playedSamples),
        )
      : null;
    const playoutDelayMs = heard
      ? ratio(
          since((of) => of.bufferedMs),
          since((of) => of.bufferedSamples),
        )
      : null;
    const lossFraction = concealedFraction ?? (packets + lost > 0 ? lost / (packets + lost) : null);
    const { roundTripMs } = stats;
    const scored = heard && packets > 0 && lossFraction !== null && roundTripMs !== null;
    return {
      mid,
      kind,
      direction,
      bitsPerSecond: intervalMs > 0 ? Math.round(((since((of) => of.bytes) ?? 0) * 8000) / intervalMs) : 0,
      packets,
      lost,
      jitterMs: rounded(jitterMs),
      roundTripMs: rounded(track.roundTripMs ?? null),
      freezes: since((of) => of.freezes),
      freezeMs: rounded(since((of) => of.freezeMs)),
      concealedFraction: concealedFraction === null ? null : Math.min(1, thousandths(concealedFraction)),
      playoutDelayMs: rounded(playoutDelayMs),
      mos: scored
        ? thousandths(
            opusMos({
              lossFraction: Math.min(1, lossFraction),
              roundTripMs,
              playoutDelayMs: playoutDelayMs ?? assumedPlayoutMs,
            }),
          )
        : null,
    };
  }
}

function ratio(part: number | null, whole: number | null): number | null {
  return part === null || whole === null || whole === 0 ? null : part / whole;
}

/** To tenths: no figure is better than that. */
function rounded(ms: number): number;
function rounded(ms: number | null): number | null;
function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.max(0, Math.round(ms * 10) / 10);
}

function thousandths(value: number): number {
  return Math.round(value * 1000) / 1000;
}
