import fc from 'fast-check';
import { isIP } from 'node:net';
import t from 'tap';
import { formatIpAddress, parseIpAddress } from './ip-address.ts';

const canonical = (text: string): string | null => {
  const bytes = parseIpAddress(text);
  return bytes === null ? null : formatIpAddress(bytes);
};

t.test('text becomes canonical (RFC 5952)', (t) => {
  for (const [text, wanted] of [
    ['192.0.2.1', '192.0.2.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0db8:0000:0000:0000:0000:0002:0001', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8::0:1', '2001:db8::1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:DB8::ABCD', '2001:db8::abcd'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ] as const) {
    t.equal(canonical(text), wanted, text);
  }
  t.end();
});

t.test('what is no address is refused', (t) => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '1.2.3.4 ',
    'localhost',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'fe80::1%eth0',
    '1.2.3.4::',
    '::1.2.3.4:5',
    ':1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7:',
  ]) {
    t.equal(parseIpAddress(text), null, text);
  }
  t.throws(() => formatIpAddress(new Uint8Array(5)), RangeError);
  t.end();
});

t.test('bytes survive the way through text, and any text is taken or refused as Node does', (t) => {
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 }).map((b) => Uint8Array.from(b)),
  );
  fc.assert(fc.property(bytes, (b) => Buffer.compare(parseIpAddress(formatIpAddress(b)) ?? Buffer.of(), b) === 0));
  const text = fc.string({ unit: fc.constantFrom(':', '::', '.', '0', '1', 'ff', '255'), maxLength: 20 });
  fc.assert(
    fc.property(text, (s) => {
      // Node refuses leading zeros in dotted addresses; here they are decimal all the same.
      if (/(^|[.:])0\d+(\.|$)/.test(s)) return true;
      return (parseIpAddress(s) !== null) === (isIP(s) !== 0);
    }),
    { numRuns: 2000 },
  );
  t.end();
});
