/** How well others are heard now, for people to look at: the score of ITU-T G.107, and how old the sound is. */
import { opusMos } from '../../tunnel-protocol/index.ts';
import type { CallStats, TrackStats } from '../call.ts';

export interface Hearing {
  /** 1–4.5; null while nothing is heard. */
  readonly mos: number | null;
  /** From the server until it is played: half the round trip and the time in the jitter buffer, in ms. */
  readonly ageMs: number | null;
}

/** Over the time between two looks at the same call. */
export function hearing(before: CallStats, now: CallStats): Hearing {
  const heard = now.tracks.flatMap((track) => {
    if (track.kind !== 'audio' || track.direction !== 'receive') return [];
    const then = before.tracks.find(({ mid, direction }) => mid === track.mid && direction === 'receive');
    const since = (read: (of: TrackStats) => number | undefined): number =>
      Math.max(0, (read(track) ?? 0) - (then === undefined ? 0 : (read(then) ?? 0)));
    const played = since((of) => of.playedSamples);
    const buffered = since((of) => of.bufferedSamples);
    if (since((of) => of.packets) === 0 || played === 0 || buffered === 0) return [];
    return {
      lossFraction: Math.min(1, since((of) => of.concealedSamples) / played),
      playoutDelayMs: since((of) => of.bufferedMs) / buffered,
    };
  });
  const { roundTripMs } = now;
  if (heard.length === 0 || roundTripMs === null) return { mos: null, ageMs: null };
  return {
    mos: Math.min(...heard.map((audio) => opusMos({ ...audio, roundTripMs }))),
    ageMs: roundTripMs / 2 + Math.max(...heard.map(({ playoutDelayMs }) => playoutDelayMs)),
  };
}
