import fc from 'fast-check';
import t from 'tap';
import { askAgainMs, maxAsks, maxGap, MissingPackets } from './missing-packets.ts';

t.test('asks for a gap, again, and gives up', (t) => {
  const missing = new MissingPackets();
  t.equal(missing.received(65_534), false);
  t.equal(missing.received(65_535), false);
  t.equal(missing.received(2), true);
  t.strictSame(missing.due(0), [0, 1]);
  t.strictSame(missing.due(askAgainMs - 1), []);
  t.equal(missing.received(1), 'late', 'it came');
  t.equal(missing.repaired(1), false, 'already');
  let asks = 1;
  let now = askAgainMs;
  for (; missing.size > 0; now += askAgainMs) asks += missing.due(now).length;
  t.equal(asks, maxAsks);
  t.equal(missing.received(3), false);
  t.strictSame(missing.due(now), []);
  t.end();
});

t.test('doubles and late ones are no gap; a large gap is lost', (t) => {
  const missing = new MissingPackets();
  t.strictSame(
    [10, 10, 9, 11].map((number) => missing.received(number)),
    [false, 'late', 'late', false],
  );
  t.equal(missing.received(11 + maxGap + 1), 'lost');
  t.equal(missing.size, 0);
  t.equal(missing.received(11 + maxGap + 3), true, 'it goes on from there');
  t.strictSame(missing.due(0), [11 + maxGap + 2]);
  t.end();
});

t.test('property: whatever comes, it asks only for numbers that did not come, and keeps few', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 100, max: 400 })), { maxLength: 300 }),
      (numbers) => {
        const missing = new MissingPackets();
        let now = 0;
        for (const number of numbers) {
          missing.received(number);
          if (missing.due(now).includes(number) || missing.size > 300) return false;
          now += 7;
        }
        return true;
      },
    ),
  );
  t.end();
});
