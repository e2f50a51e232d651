import fc from 'fast-check';
import t from 'tap';
import { putU16 } from '../../tunnel-protocol/index.ts';
import { historyMs, PacketHistory, repeatAfterMs } from './packet-history.ts';

function packet(sequenceNumber: number, length = 12): Uint8Array {
  const bytes = new Uint8Array(length).fill(sequenceNumber);
  putU16(bytes, 2, sequenceNumber);
  return bytes;
}

/** Puts a packet whose first 8 bytes stand in other memory, as those of a packet that was just written do. */
function put(history: PacketHistory, bytes: Uint8Array, now: number): void {
  const memory = new Uint8Array(20).fill(0xee);
  memory.set(bytes.subarray(0, 8), 5);
  history.put(memory, 5, 8, bytes.subarray(8), now);
}

t.test('gives back what is kept, over the wrap, and nothing else', (t) => {
  const history = new PacketHistory(8);
  for (let number = 65_530; number < 65_540; number++) put(history, packet(number & 0xffff), 100);
  t.equal(history.take(65_530, 200), null, 'overwritten');
  t.equal(history.take(2000, 200), null);
  t.strictSame(history.take(65_533, 200), packet(65_533));
  t.strictSame(history.take(3, 200), packet(3));
  t.end();
});

t.test('not twice at once, and not when it is too old', (t) => {
  const history = new PacketHistory(8);
  put(history, packet(1), 100);
  t.equal(history.take(1, 100 + repeatAfterMs - 1), 'recent');
  t.strictSame(history.take(1, 100 + repeatAfterMs), packet(1));
  t.equal(history.take(1, 100 + repeatAfterMs), 'recent');
  t.strictSame(history.take(1, 100 + historyMs), packet(1));
  t.equal(history.take(1, 101 + historyMs), null);
  t.end();
});

t.test('holds the last second of a rich stream', (t) => {
  const history = new PacketHistory(1024);
  // 1200 bytes every 4 ms: 2.4 Mbit/s.
  for (let number = 0; number < 2000; number++) put(history, packet(number, 1200), number * 4);
  const now = 1999 * 4;
  for (let number = 1760; number < 1990; number++) t.strictSame(history.take(number, now), packet(number, 1200));
  t.equal(history.take(1600, now), null, 'too old');
  t.end();
});

t.test('whatever comes: what it gives back is what was put', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ length: fc.integer({ min: 12, max: 2048 }), ms: fc.integer({ min: 0, max: 60 }) }), {
        minLength: 100,
        maxLength: 400,
        size: 'max',
      }),
      (packets) => {
        const history = new PacketHistory(64);
        let now = 0;
        let found = 0;
        packets.forEach(({ length, ms }, number) => {
          now += ms;
          put(history, packet(number, length), now);
          for (let back = 0; back < 40; back++) {
            const taken = history.take(number - back, now + repeatAfterMs);
            if (taken === null || taken === 'recent') continue;
            t.ok(Buffer.compare(taken, packet(number - back, packets[number - back]?.length)) === 0);
            found++;
          }
        });
        return found > 0;
      },
    ),
    { numRuns: 20 },
  );
  t.end();
});
