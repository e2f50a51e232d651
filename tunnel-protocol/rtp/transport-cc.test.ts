import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { decodeRtcp } from './rtcp-decode.ts';
import { deltaTickMs, encodeTransportFeedback, maxFeedbackPackets, TransportFeedback } from './transport-cc.ts';

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));

t.test('the layout, by hand', (t) => {
  // Base 0x0102, 4 packets, 64 ms × 3; a vector of small, large, lost, large; 1 ms, 125 ms, 0 ms.
  const simple = bytesOf('8fcd0006 11111111 22222222 0102 0004 000003 05 d880 04 01f4 0000 00');
  const feedback = new TransportFeedback();
  t.equal(feedback.read(simple.subarray(0, 26)), false, 'a difference is missing');
  t.equal(feedback.read(simple), true);
  t.equal(feedback.baseSequence, 0x0102);
  t.strictSame([...feedback.arrivals.subarray(0, 4)], [193, 318, NaN, 318]);
  t.end();
});

t.test('what was written is read again, to a tick', (t) => {
  const arrivals = fc
    .tuple(
      fc.integer({ min: 0, max: 1e9 }),
      fc.array(fc.option(fc.double({ min: -60, max: 7000, noNaN: true })), { minLength: 1, maxLength: 400 }),
    )
    .map(([start, steps]) => {
      let now = start;
      return [start, ...steps.map((step) => (step === null ? NaN : (now = Math.max(0, now + step))))];
    });
  const feedback = new TransportFeedback();
  fc.assert(
    fc.property(arrivals, fc.nat(0xffff), fc.nat(255), (times, base, count) => {
      const written = encodeTransportFeedback(1, 2, count, base, times);
      const decoded = decodeRtcp(written.packet);
      assert.ok(typeof decoded !== 'string' && decoded[0]?.type === 'transport-cc');
      assert.ok(feedback.read(decoded[0].bytes));
      assert.equal(feedback.baseSequence, base);
      assert.equal(feedback.packetCount, written.count);
      assert.ok(written.count > 0);
      const first = feedback.arrivals[0] as number;
      for (let i = 0; i < written.count; i++) {
        const expected = times[i] as number;
        const read = feedback.arrivals[i] as number;
        if (Number.isNaN(expected)) assert.ok(Number.isNaN(read));
        else assert.ok(Math.abs(read - first - (expected - (times[0] as number))) <= deltaTickMs);
      }
    }),
    { numRuns: 300 },
  );
  t.pass();
  t.end();
});

t.test('an arrival that is too late to be told ends the packet before it', (t) => {
  t.equal(encodeTransportFeedback(1, 2, 0, 0, [0, 8000, 20_000]).count, 2);
  t.equal(encodeTransportFeedback(1, 2, 0, 0, new Array<number>(5000).fill(7)).count, maxFeedbackPackets);
  t.end();
});

t.test('any bytes are read or refused, and no count is believed', (t) => {
  const feedback = new TransportFeedback();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      feedback.read(bytes);
    }),
    { numRuns: 1000 },
  );
  const huge = bytesOf('8fcd0005 11111111 22222222 0000 ffff 000000 00 1fff 0000');
  t.equal(feedback.read(huge), false);
  const stuck = bytesOf('8fcd0005 11111111 22222222 0000 0008 000000 00 0000 0000');
  t.equal(feedback.read(stuck), false, 'a run of nothing');
  t.end();
});
