import fc from 'fast-check';
import t from 'tap';
import { decodeDcep, encodeDcepAck, encodeDcepOpen, maxDataNameBytes } from './dcep.ts';
import type { DataReliability } from './dcep.ts';

const name = fc.string({ unit: 'grapheme', maxLength: 30 }).filter((text) => !/^\uFEFF/.test(text));
const reliability = fc.oneof(
  fc.constant<DataReliability>({ kind: 'reliable' }),
  fc.record(
    { kind: fc.constantFrom('retransmits', 'lifetime'), limit: fc.nat(65_535) },
    { noNullPrototype: true },
  ) as fc.Arbitrary<DataReliability>,
);

t.test('what one end opens, the other end reads', (t) => {
  fc.assert(
    fc.property(
      fc.record({ label: name, protocol: name, ordered: fc.boolean(), reliability }, { noNullPrototype: true }),
      (parameters) => {
        const decoded = decodeDcep(encodeDcepOpen(parameters));
        t.strictSame(decoded, { type: 'open', parameters });
      },
    ),
  );
  t.strictSame(decodeDcep(encodeDcepAck()), { type: 'ack' });
  t.end();
});

t.test('a channel of Chromium', (t) => {
  // RFC 8832 section 5.1: unordered, at most 3 repetitions, priority 256, label "chat", no protocol.
  const bytes = Uint8Array.from(Buffer.from('038101000000000300040000' + '63686174', 'hex'));
  t.strictSame(decodeDcep(bytes), {
    type: 'open',
    parameters: { label: 'chat', protocol: '', ordered: false, reliability: { kind: 'retransmits', limit: 3 } },
  });
  for (let length = 0; length < bytes.length; length++) t.equal(decodeDcep(bytes.subarray(0, length)), 'truncated');
  t.end();
});

t.test('what is not an OPEN comes back as a reason', (t) => {
  const open = encodeDcepOpen({ label: 'x', protocol: '', ordered: true, reliability: { kind: 'reliable' } });
  t.equal(decodeDcep(open.with(0, 9)), 'unknown-type');
  t.equal(decodeDcep(open.with(1, 3)), 'unknown-channel-type');
  t.equal(decodeDcep(open.with(8, 1)), 'name-too-long');
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => (decodeDcep(bytes), true)));
  const long = 'x'.repeat(maxDataNameBytes + 1);
  t.throws(
    () => encodeDcepOpen({ label: long, protocol: '', ordered: true, reliability: { kind: 'reliable' } }),
    RangeError,
  );
  t.end();
});
