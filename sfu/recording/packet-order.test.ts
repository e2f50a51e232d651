/** Packets that come in any order, twice, or never. */
import fc from 'fast-check';
import t from 'tap';
import { PacketOrder, orderPatienceMs } from './packet-order.ts';

interface Ordered {
  readonly order: PacketOrder;
  /** Packets by their sequence number, and losses as `-count`. */
  readonly seen: number[];
  readonly receive: (sequenceNumber: number, now?: number) => void;
}

function ordered(): Ordered {
  const seen: number[] = [];
  const order = new PacketOrder({
    packet: (bytes, payloadOffset) => seen.push(((bytes[payloadOffset] ?? 0) << 8) | (bytes[payloadOffset + 1] ?? 0)),
    lost: (count) => seen.push(-count),
  });
  return {
    order,
    seen,
    receive: (sequenceNumber, now = 0) => {
      const bytes = Uint8Array.of(0xff, sequenceNumber >>> 8, sequenceNumber & 0xff);
      order.receive(sequenceNumber, bytes, 1, now);
      // The bytes are borrowed.
      bytes.fill(0xee);
    },
  };
}

t.test('in order at once; out of order when what is missing came; twice once', (t) => {
  const { seen, receive } = ordered();
  for (const number of [10, 12, 11, 11, 12, 10, 15, 14, 15, 13]) receive(number);
  t.strictSame(seen, [10, 11, 12, 13, 14, 15]);
  t.end();
});

t.test('the numbers wrap', (t) => {
  const { seen, receive } = ordered();
  for (const number of [0xfffe, 1, 0xffff, 0, 2]) receive(number);
  t.strictSame(seen, [0xfffe, 0xffff, 0, 1, 2]);
  t.end();
});

t.test('what is missing is given up in time, each gap in its own', (t) => {
  const { order, seen, receive } = ordered();
  receive(0, 0);
  receive(2, 100);
  receive(4, 150);
  receive(7, 200);
  order.tick(99 + orderPatienceMs);
  t.strictSame(seen, [0]);
  order.tick(100 + orderPatienceMs);
  t.strictSame(seen, [0, -1, 2], 'the second gap was seen later');
  order.tick(200 + orderPatienceMs);
  t.strictSame(seen, [0, -1, 2, -1, 4, -2, 7], 'both that are overdue, by one tick');
  receive(3, 600);
  t.strictSame(seen.at(-1), 7, 'it was given up');
  t.end();
});

t.test('so many wait, and no more; what waits goes out at the end', (t) => {
  const { order, seen, receive } = ordered();
  receive(0);
  for (let number = 2; number < 2 + 513; number++) receive(number);
  t.strictSame(seen.slice(0, 3), [0, -1, 2]);
  t.equal(seen.length, 2 + 513);
  receive(1000);
  order.flush();
  t.strictSame(seen.slice(-2), [515 - 1000, 1000]);
  t.end();
});

t.test('another numbering is begun with', (t) => {
  const { seen, receive } = ordered();
  for (const number of [20_000, 20_002, 100, 101]) receive(number);
  t.strictSame(seen, [20_000, -1, 20_002, 100, 101]);
  t.end();
});

t.test('any order, any loss: each packet at most once, in order, and every one accounted for', (t) => {
  const arrivals = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 400 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0xffff }), arrivals, (first, arrivals) => {
      const { order, seen, receive } = ordered();
      receive(first);
      for (const [at, offset] of arrivals.entries()) {
        receive((first + offset) & 0xffff, at * 10);
        order.tick(at * 10);
      }
      order.flush();
      let next = first;
      for (const entry of seen) {
        if (entry >= 0 && entry !== next) return false;
        next = (next + (entry < 0 ? -entry : 1)) & 0xffff;
      }
      return next === ((first + Math.max(...arrivals, 0) + 1) & 0xffff);
    }),
  );
  t.end();
});
