/** When frames were taken, by what is heard of a stream and by what its publisher reports. */
import fc from 'fast-check';
import t from 'tap';
import { jumpMs, MediaClock, slewMs } from './media-clock.ts';

const ticksPerMs = 90;
const rate = ticksPerMs * 1000;

t.test('before the first report a stream lies where it was heard first', (t) => {
  const clock = new MediaClock(rate);
  t.ok(Number.isNaN(clock.timeOf(0)), 'nothing is known');
  clock.reported(0, 500);
  t.ok(Number.isNaN(clock.timeOf(0)), 'a report of a stream that was not heard says nothing');
  clock.heard(1000, 10_000);
  t.equal(clock.timeOf(1000), 10_000);
  t.equal(clock.timeOf(1000 + 40 * ticksPerMs), 10_040);
  clock.heard(1000 + 40 * ticksPerMs, 10_140);
  t.equal(clock.timeOf(1000 + 40 * ticksPerMs), 10_040, 'it was only late');
  clock.heard(1000 + 80 * ticksPerMs, 10_060);
  t.equal(clock.timeOf(1000 + 80 * ticksPerMs), 10_060, 'it cannot have been taken later than it came');
  clock.heard(1000 + 120 * ticksPerMs, 10_100 + jumpMs + 1);
  t.equal(clock.timeOf(1000 + 120 * ticksPerMs), 10_100 + jumpMs + 1, 'it stood still, and goes on');
  t.end();
});

t.test('reports are followed little by little, or at once when they are far off', (t) => {
  const clock = new MediaClock(rate);
  clock.heard(0, 1000);
  clock.reported(0, 1000 - jumpMs - 50);
  t.equal(clock.timeOf(0), 1000 - jumpMs - 50, 'the first one is far off');
  clock.reported(0, 1000 - jumpMs);
  t.equal(clock.timeOf(0), 1000 - jumpMs - 50 + slewMs, 'another one is near');
  for (let i = 0; i < 20; i++) clock.reported(0, 1000 - jumpMs);
  t.equal(clock.timeOf(0), 1000 - jumpMs, 'and is reached');
  for (let i = 0; i < 100; i++) clock.reported(0, 900 - jumpMs);
  t.equal(clock.timeOf(0), 900 - jumpMs, 'backwards as well');
  clock.heard(ticksPerMs, 5000);
  t.equal(clock.timeOf(0), 900 - jumpMs, 'what is heard late changes nothing any more');
  t.end();
});

t.test('timestamps wrap, and a late one does not turn the clock back', (t) => {
  const clock = new MediaClock(rate);
  clock.heard(0xffff_ff00, 1000);
  clock.reported(0xffff_ff00, 1000);
  const wrapped = (0xffff_ff00 + 100 * ticksPerMs) >>> 0;
  clock.heard(wrapped, 1100);
  t.equal(clock.timeOf(wrapped), 1100);
  clock.heard(0xffff_ff00, 1200);
  t.equal(clock.timeOf(wrapped), 1100);
  t.equal(clock.timeOf(0xffff_ff00), 1000);
  t.equal(clock.timeOf((wrapped + 100 * ticksPerMs) >>> 0), 1200);
  t.end();
});

t.test('a steady stream keeps its pace through any number of wraps and any delay on the way', (t) => {
  const delays = fc.array(fc.integer({ min: 0, max: jumpMs - 1 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), delays, (first, delays) => {
      const clock = new MediaClock(rate);
      // A step is 1000 s, so that 48 of them wrap.
      const stepMs = 1_000_000;
      return delays.every((delay, at) => {
        const timestamp = (first + at * stepMs * ticksPerMs) % 2 ** 32;
        clock.heard(timestamp, at * stepMs + delay);
        clock.reported(timestamp, at * stepMs);
        return at === 0 || Math.abs(clock.timeOf(timestamp) - at * stepMs) <= jumpMs;
      });
    }),
  );
  t.end();
});
