/**
 * Makes sound up where there is none, and shortens it where too much waits: both by whole periods of the voice, joined
 * by cross-fades. Mono, 48 kHz.
 */
import { frameSamples } from './audio-playout.ts';

/** Of the human voice, generously: 2.5 to 15 ms. */
const shortestPeriod = 120;
const longestPeriod = 720;
/** The search looks at every fourth sample. */
const coarse = 4;
const fadeSamples = 240;
/** Of made up frames, one after the other; then silence. */
const gains = [0.9, 0.6, 0.35, 0.15];
/** How alike two stretches must be for one of them to go unnoticed. */
const minLikeness = 0.6;
/** −60 dBFS: what is this quiet has no period, and needs none. */
const quietPower = 1e-6;

export class PcmShaper {
  /** The end of what was played. */
  #history = new Float32Array(2 * frameSamples);
  /** How it would go on; null when what was played last had come. */
  #continued: Float32Array<ArrayBuffer> | null = null;
  #made = 0;

  /** What came. The result may be the same array. */
  take(frame: Float32Array<ArrayBuffer>, shorten: boolean): Float32Array<ArrayBuffer> {
    let played = frame;
    if (this.#continued !== null) {
      const from = this.#extend(gains[this.#made - 1] ?? 0);
      played = frame.slice();
      const length = Math.min(fadeSamples, frame.length);
      for (let i = 0; i < length; i++) {
        const share = i / length;
        played[i] = (from[i] ?? 0) * (1 - share) + (frame[i] ?? 0) * share;
      }
      this.#continued = null;
      this.#made = 0;
    } else if (shorten) {
      played = shortened(frame);
    }
    this.#remember(played);
    return played;
  }

  /** {@link frameSamples} of what might have come. */
  conceal(): Float32Array<ArrayBuffer> {
    const before = gains[this.#made - 1] ?? 1;
    const after = gains[this.#made] ?? 0;
    this.#continued ??= this.#lastPeriod();
    const made = this.#extend(1);
    for (let i = 0; i < made.length; i++) {
      made[i] = (made[i] ?? 0) * (this.#made >= gains.length ? 0 : before + ((after - before) * i) / made.length);
    }
    this.#made += 1;
    return made;
  }

  #lastPeriod(): Float32Array<ArrayBuffer> {
    const history = this.#history;
    const period = bestPeriod(history, history.length - frameSamples, -1).samples;
    return history.slice(history.length - period);
  }

  #extend(gain: number): Float32Array<ArrayBuffer> {
    const period = this.#continued ?? new Float32Array(1);
    const made = new Float32Array(frameSamples);
    const from = (this.#made * frameSamples) % period.length;
    for (let i = 0; i < made.length; i++) made[i] = (period[(from + i) % period.length] ?? 0) * gain;
    return made;
  }

  #remember(played: Float32Array): void {
    const history = this.#history;
    const kept = Math.min(played.length, history.length);
    history.copyWithin(0, kept);
    history.set(played.subarray(played.length - kept), history.length - kept);
  }
}

/** One period less, where the sound repeats itself or is quiet; the same array where it does not. */
function shortened(frame: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (frame.length < longestPeriod + fadeSamples) return frame;
  const { samples: period, likeness } = bestPeriod(frame, 0, 1);
  if (likeness < minLikeness) return frame;
  const out = new Float32Array(frame.length - period);
  for (let i = 0; i < fadeSamples; i++) {
    const share = i / fadeSamples;
    out[i] = (frame[i] ?? 0) * (1 - share) + (frame[i + period] ?? 0) * share;
  }
  out.set(frame.subarray(period + fadeSamples), fadeSamples);
  return out;
}

/**
 * By which shift the stretch at `at` is most like what lies `direction` of it. Likeness is 1 where it is quiet; otherwise
 * the normalised correlation.
 */
function bestPeriod(
  samples: Float32Array,
  at: number,
  direction: 1 | -1,
): { readonly samples: number; readonly likeness: number } {
  const length = direction === 1 ? fadeSamples : frameSamples / 2;
  let power = 0;
  for (let i = 0; i < length; i += coarse) power += (samples[at + i] ?? 0) ** 2;
  if ((power * coarse) / length < quietPower) return { samples: longestPeriod, likeness: 1 };
  let best = shortestPeriod;
  let likeness = -1;
  for (let period = shortestPeriod; period <= longestPeriod; period += coarse) {
    let product = 0;
    let other = 0;
    for (let i = 0; i < length; i += coarse) {
      const shifted = samples[at + i + direction * period] ?? 0;
      product += (samples[at + i] ?? 0) * shifted;
      other += shifted * shifted;
    }
    const alike = product / Math.sqrt(power * other + 1e-12);
    if (alike > likeness) {
      likeness = alike;
      best = period;
    }
  }
  return { samples: best, likeness };
}
