import fc from 'fast-check';
import t from 'tap';
import { decodeExchangeHeader, encodeExchangeHeader, exchangeQuery, headerOfQuery } from './exchange-header.ts';
import { exchangeLimits } from './limits.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const headers = fc
  .record({
    flags: fc.nat(255),
    close: fc.oneof(fc.constant(0), fc.integer({ min: 4000, max: 4999 })),
    connection: fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('hex')),
    generation: u32,
    exchange: fc.integer({ min: 1, max: 0xffff_ffff }),
    oldest: u32,
    first: fc.integer({ min: 1, max: 0xffff_ffff }),
    ack: u32,
    holdMs: fc.nat(exchangeLimits.maxHoldMs),
    gatherMs: fc.nat(0xffff),
  })
  .map((header) => ({ ...header, oldest: Math.min(header.oldest, header.exchange) }));

t.test('a header survives the way as bytes and as a query', (t) => {
  fc.assert(
    fc.property(headers, (header) => {
      t.strictSame(decodeExchangeHeader(encodeExchangeHeader(header)), header);
      t.strictSame(headerOfQuery(exchangeQuery(header)), header);
    }),
    { numRuns: 100 },
  );
  t.end();
});

t.test('what is no header', (t) => {
  const good = { flags: 0, close: 0, connection: '00112233445566aa', generation: 1, exchange: 7, oldest: 7 };
  const header = { ...good, first: 1, ack: 0, holdMs: 0, gatherMs: 20 };
  const query = exchangeQuery(header);
  t.ok(headerOfQuery(query));
  t.ok(headerOfQuery(query.toUpperCase().replace('X', 'x')), 'a proxy may change the case of nothing, but who knows');
  for (const bad of [
    '',
    'x=',
    query.slice(1),
    `${query}0`,
    `${query}00`,
    query.slice(0, -1),
    query.slice(0, -1) + 'g',
    `${query}&a=1`,
  ]) {
    t.equal(headerOfQuery(bad), null, bad);
  }
  t.equal(headerOfQuery(exchangeQuery({ ...header, holdMs: exchangeLimits.maxHoldMs + 1 })), null);
  for (const bad of [{ exchange: 0, oldest: 0 }, { oldest: 8 }, { first: 0 }, { close: 1000 }, { close: 5000 }]) {
    t.equal(decodeExchangeHeader(encodeExchangeHeader({ ...header, ...bad })), null, JSON.stringify(bad));
  }
  t.equal(decodeExchangeHeader(encodeExchangeHeader(header).subarray(0, 35)), null);
  t.throws(() => encodeExchangeHeader({ ...header, connection: '0011' }), RangeError);
  t.end();
});

t.test('random bytes are a header or not, and never more than that', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.string({ maxLength: 90 }), (bytes, text) => {
      decodeExchangeHeader(bytes);
      decodeExchangeHeader(Uint8Array.from([0xfc, ...bytes]));
      headerOfQuery(text);
      headerOfQuery(`x=${text}`);
    }),
  );
  t.pass();
  t.end();
});
