/** The jitter buffer of the page's sound, on a virtual clock: how long it waits, how it catches up, what it makes up. */
import fc from 'fast-check';
import t from 'tap';
import { AudioPlayout, frameSamples } from './audio-playout.ts';

/** One Opus frame of 20 ms: CELT, code 0 (RFC 6716 section 3.1). */
const opus = Uint8Array.of(31 << 3, 1, 2, 3);
const frameMs = 20;
const samplesPerMs = 48;

interface Heard {
  readonly packets: number;
  readonly conceals: number;
  readonly playout: AudioPlayout;
  /** What waited, at the end. */
  readonly levelMs: number;
}

/** What is played when packet `n`, of `n` × 20 ms, comes `lateMs(n)` later; null: it never does. Sound goes on until all is played. */
function hear(count: number, lateMs: (n: number) => number | null, firstTimestamp = 0): Heard {
  const playout = new AudioPlayout();
  const arrivals = Array.from({ length: count }, (_, n) => ({ n, at: lateMs(n) }))
    .flatMap(({ n, at }) => (at === null ? [] : [{ n, at: n * frameMs + at }]))
    .sort((a, b) => a.at - b.at);
  let packets = 0;
  let conceals = 0;
  let dueAt = arrivals[0]?.at ?? 0;
  let levelMs = 0;
  for (const end = count * frameMs; dueAt < end;) {
    for (let next = arrivals[0]; next !== undefined && next.at <= dueAt; next = arrivals[0]) {
      playout.push((firstTimestamp + next.n * frameSamples) >>> 0, opus, next.at);
      arrivals.shift();
    }
    levelMs = playout.levelMs;
    const step = playout.pull(dueAt);
    if (step.type === 'packet') packets += 1;
    if (step.type === 'conceal') conceals += 1;
    // A period of a voice is left out where more waits than has to.
    dueAt += step.type === 'packet' && step.shorten ? frameMs - 8 : frameMs;
  }
  return { packets, conceals, playout, levelMs };
}

/** 0–1, the same numbers in each run, and none like those beside it. */
function noise(n: number): number {
  let x = Math.imul(n + 1, 0x9e37_79b1);
  x = Math.imul(x ^ (x >>> 15), 0x85eb_ca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2_ae35);
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

t.test('an even network: 40 ms, and nothing is made up', (t) => {
  const { playout, conceals, levelMs } = hear(500, () => 30);
  t.equal(playout.targetMs, 40);
  t.ok(levelMs <= 80, `${String(levelMs)} ms wait`);
  t.equal(conceals, 0);
  t.equal(playout.concealedSamples, 0);
  t.equal(playout.discarded, 0);
  t.end();
});

t.test('it waits as long as the network is uneven, at most 200 ms', (t) => {
  // As TCP brings packets: one that is late holds up those behind it.
  let before = 0;
  const inOrder = hear(1_500, (n) => {
    before = Math.max(before, n * frameMs + 100 * noise(n));
    return before - n * frameMs;
  });
  const outOfOrder = hear(1_500, (n) => 100 * noise(n));
  for (const { playout } of [inOrder, outOfOrder]) {
    t.ok(playout.targetMs > 90 && playout.targetMs < 140, `${String(playout.targetMs)} ms`);
    const share = playout.concealedSamples / (playout.playedSamples + playout.concealedSamples);
    t.ok(share < 0.02, `${(share * 100).toFixed(1)} % is made up`);
  }
  t.equal(hear(1_000, (n) => 900 * noise(n)).playout.targetMs, 200);
  t.end();
});

t.test('it shortens again when the network is even again', (t) => {
  const { playout, levelMs } = hear(4_000, (n) => (n < 500 ? 150 * noise(n) : 20));
  t.equal(playout.targetMs, 40);
  t.ok(levelMs <= 40 + 20 + 2 * frameMs, `${String(levelMs)} ms wait`);
  t.end();
});

t.test('what has piled up is drained: whole packets first, then by shortening', (t) => {
  const playout = new AudioPlayout();
  for (let n = 0; n < 50; n++) playout.push(n * frameSamples, opus, 0);
  t.equal(playout.levelMs, 1_000);
  t.match(playout.pull(0), { type: 'packet', shorten: true });
  t.ok(playout.levelMs <= playout.targetMs + 160, `${String(playout.levelMs)} ms`);
  t.ok(playout.discarded > 0, 'what was left out is counted');
  t.end();
});

t.test('loss: each missing packet is made up once, and counted', (t) => {
  const { playout, packets, conceals } = hear(500, (n) => (n % 10 === 5 ? null : 0));
  t.equal(conceals, 50);
  t.equal(playout.concealedSamples, conceals * frameSamples);
  t.equal(playout.playedSamples, packets * frameSamples);
  t.end();
});

t.test('nothing comes: 100 ms are made up; a short gap counts as made up, a long one does not', (t) => {
  const short = hear(200, (n) => (n >= 50 && n < 75 ? null : 0));
  t.equal(short.conceals, 5);
  t.ok(Math.abs(short.playout.concealedSamples / samplesPerMs - 500) <= 60, 'half a second was missing');
  const long = hear(300, (n) => (n >= 50 && n < 150 ? null : 0));
  t.equal(long.conceals, 5);
  t.equal(long.playout.concealedSamples, 0);
  t.end();
});

t.test('out of order is in order, twice is once', (t) => {
  const { playout, conceals } = hear(200, (n) => (n % 2 === 0 ? 25 : 0));
  t.equal(conceals, 0);
  t.equal(playout.discarded, 0);
  const twice = new AudioPlayout();
  for (let n = 0; n < 3; n++) for (let copy = 0; copy < 2; copy++) twice.push(n * frameSamples, opus, 0);
  const steps = Array.from({ length: 5 }, (_, n) => twice.pull(n * frameMs).type);
  t.same(steps, ['packet', 'packet', 'packet', 'conceal', 'conceal']);
  twice.push(0, opus, 100);
  t.equal(twice.discarded, 1, 'one that was played is too late');
  t.end();
});

t.test('timestamps wrap', (t) => {
  const first = 2 ** 32 - 20 * frameSamples;
  const { playout, conceals, packets } = hear(100, () => 0, first);
  t.equal(conceals, 0);
  t.ok(packets > 90);
  t.equal(playout.position, (first + packets * frameSamples) >>> 0);
  t.end();
});

t.test('another beginning is played, not waited for', (t) => {
  const playout = new AudioPlayout();
  for (let n = 0; n < 5; n++) playout.push(n * frameSamples, opus, n * frameMs);
  t.equal(playout.pull(100).type, 'packet');
  const jump = 2 ** 31 - 1;
  for (let n = 0; n < 5; n++) playout.push(jump + n * frameSamples, opus, 100 + n * frameMs);
  t.equal(playout.pull(200).type, 'packet');
  t.equal(playout.position, jump + frameSamples);
  t.end();
});

t.test('a jump before anything was played costs no time', (t) => {
  const playout = new AudioPlayout();
  playout.push(0, opus, 0);
  playout.push(2 ** 31 - 1, opus, 1);
  t.ok(playout.levelMs <= frameMs, `${String(playout.levelMs)} ms`);
  t.end();
});

t.test('packets that overlap are not played backwards', (t) => {
  const playout = new AudioPlayout();
  for (let n = 0; n < 50; n++) playout.push(n * 100, opus, 0);
  let before = -1;
  for (let n = 0; n < 10; n++) {
    const at = playout.position;
    if (at !== null) t.ok(at >= before, `${String(at)} after ${String(before)}`);
    before = at ?? before;
    playout.pull(n * frameMs);
  }
  t.end();
});

t.test('packets that are no Opus, or of no or too long a time', (t) => {
  const playout = new AudioPlayout();
  for (const payload of [[], [3], [3, 0], [0xff, 0x3f]]) playout.push(0, Uint8Array.from(payload), 0);
  t.equal(playout.levelMs, 0);
  t.equal(playout.pull(1_000).type, 'silence');
  t.end();
});

t.test('whatever comes, what waits is bounded, and each stretch of sound is a step', (t) => {
  const operation = fc.oneof(
    fc.record({ timestamp: fc.nat(2 ** 32 - 1), payload: fc.uint8Array({ maxLength: 4 }), ms: fc.nat(100) }),
    fc.record({ timestamp: fc.nat(100_000), payload: fc.constant(opus), ms: fc.nat(30) }),
    fc.record({ ms: fc.nat(100) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const playout = new AudioPlayout();
      let now = 0;
      for (const each of operations) {
        now += each.ms;
        if ('timestamp' in each) playout.push(each.timestamp, each.payload, now);
        else {
          const step = playout.pull(now);
          if (!['packet', 'conceal', 'silence'].includes(step.type)) return false;
        }
        if (!(playout.levelMs >= 0 && playout.levelMs <= 20_000 && playout.targetMs >= 40 && playout.targetMs <= 200))
          return false;
      }
      return playout.concealedSamples >= 0 && playout.playedSamples >= 0;
    }),
  );
  t.end();
});
