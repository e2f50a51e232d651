/** Sound that is shortened or made up: by whole periods, without clicks, whatever the size of a frame. */
import t from 'tap';
import { frameSamples } from './audio-playout.ts';
import { PcmShaper } from './pcm-shaper.ts';

const hertz = 200;

function tone(from: number, length = frameSamples): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hertz * (from + i)) / 48_000));
}

/** 0–1, the same numbers in each run, and none like those beside it. */
function noise(n: number): number {
  let x = Math.imul(n + 1, 0x9e37_79b1);
  x = Math.imul(x ^ (x >>> 15), 0x85eb_ca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2_ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

/** The largest step between two samples. */
function steepest(...frames: readonly Float32Array[]): number {
  const all = frames.flatMap((frame) => [...frame]);
  return Math.max(...all.slice(1).map((sample, i) => Math.abs(sample - (all[i] ?? 0))));
}

t.test('a frame that is shortened lacks whole periods, and does not click', (t) => {
  const shaper = new PcmShaper();
  const first = shaper.take(tone(0), false);
  const second = shaper.take(tone(frameSamples), true);
  const left = frameSamples - second.length;
  t.ok(left >= 120 && left <= 720, `${String(left)} samples are left out`);
  const period = 48_000 / hertz;
  t.ok(Math.abs(left / period - Math.round(left / period)) < 0.1);
  t.ok(steepest(first, second, shaper.take(tone(2 * frameSamples), false)) < 0.03);
  t.end();
});

t.test('what is made up goes on like what came, and fades; what comes then is faded in', (t) => {
  const shaper = new PcmShaper();
  const before = shaper.take(tone(0), false);
  const made = Array.from({ length: 6 }, () => shaper.conceal());
  t.ok(made.every(({ length }) => length === frameSamples));
  t.ok(steepest(before, ...made) < 0.06);
  const loudness = made.map((frame) => Math.max(...frame.map(Math.abs)));
  t.ok((loudness[0] ?? 0) > 0.4);
  t.same(
    loudness,
    [...loudness].sort((a, b) => b - a),
    'quieter and quieter',
  );
  t.equal(loudness[5], 0);
  t.ok(steepest(made[5] ?? before, shaper.take(tone(0), false)) < 0.06);
  t.end();
});

t.test('noise is not shortened, silence is', (t) => {
  const hiss = Float32Array.from({ length: frameSamples }, (_, i) => noise(i) - 0.5);
  t.equal(new PcmShaper().take(hiss, true).length, frameSamples);
  t.ok(new PcmShaper().take(new Float32Array(frameSamples), true).length < frameSamples);
  t.end();
});

t.test('frames of any size', (t) => {
  const shaper = new PcmShaper();
  for (const length of [0, 1, 119, 240, 2_880, 5_760]) {
    for (const shorten of [false, true]) {
      shaper.conceal();
      const taken = shaper.take(tone(0, length), shorten);
      t.ok(taken.length <= length && taken.every(Number.isFinite), String(length));
    }
  }
  t.end();
});
