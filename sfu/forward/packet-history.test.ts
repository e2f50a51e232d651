import t from 'tap';
import { putU16 } from '../../tunnel-protocol/index.ts';
import { historyMs, PacketHistory, repeatAfterMs } from './packet-history.ts';

function packet(sequenceNumber: number): Uint8Array {
  const bytes = new Uint8Array(12);
  putU16(bytes, 2, sequenceNumber);
  return bytes;
}

t.test('gives back what is kept, over the wrap, and nothing else', (t) => {
  const history = new PacketHistory(8);
  for (let number = 65_530; number < 65_540; number++) history.put(packet(number & 0xffff), 100);
  t.equal(history.take(65_530, 200), null, 'overwritten');
  t.equal(history.take(2000, 200), null);
  t.strictSame(history.take(65_533, 200), packet(65_533));
  t.strictSame(history.take(3, 200), packet(3));
  t.end();
});

t.test('not twice at once, and not when it is too old', (t) => {
  const history = new PacketHistory(8);
  history.put(packet(1), 100);
  t.equal(history.take(1, 100 + repeatAfterMs - 1), 'recent');
  t.strictSame(history.take(1, 100 + repeatAfterMs), packet(1));
  t.equal(history.take(1, 100 + repeatAfterMs), 'recent');
  t.strictSame(history.take(1, 100 + historyMs), packet(1));
  t.equal(history.take(1, 101 + historyMs), null);
  history.put(packet(2), 100);
  history.put(packet(3), 1000);
  history.prune(101 + historyMs);
  t.equal(history.take(2, 100 + historyMs), null);
  t.strictSame(history.take(3, 101 + historyMs), packet(3));
  t.end();
});
