import t from 'tap';
import { RateLimiter } from './rate-limit.ts';

t.test('a burst, then a rate', (t) => {
  const limiter = new RateLimiter({ burst: 3, perSecond: 2 }, 1);
  const takes = (address: string, nowMs: number, count: number): number =>
    Array.from({ length: count }, () => limiter.take(address, nowMs)).filter(Boolean).length;
  t.equal(takes('192.0.2.1', 1000, 5), 3);
  t.equal(takes('192.0.2.2', 1000, 5), 3, 'another source has its own');
  t.equal(takes('192.0.2.1', 1499, 5), 0);
  t.equal(takes('192.0.2.1', 1500, 5), 1);
  t.equal(takes('192.0.2.1', 100_000, 5), 3, 'never more than the burst');
  t.end();
});

t.test('an IPv6 subscriber cannot multiply by using more of its addresses', (t) => {
  const limiter = new RateLimiter({ burst: 3, perSecond: 1 }, 77);
  let allowed = 0;
  for (let i = 1; i <= 50; i++) if (limiter.take(`2001:db8:1:2:${i.toString(16)}::1`, 0)) allowed++;
  t.equal(allowed, 3);
  t.equal(limiter.take('2001:db8:1:3::1', 0), true);
  t.end();
});

t.test('sources spread over the table', (t) => {
  const limiter = new RateLimiter({ burst: 1, perSecond: 0 }, 12_345);
  let allowed = 0;
  for (let i = 0; i < 1000; i++) if (limiter.take(`10.0.${String(i >> 8)}.${String(i & 255)}`, 0)) allowed++;
  t.ok(allowed > 900, `${String(allowed)} of 1000 had a bucket of their own`);
  t.end();
});

t.test('a flood from any number of addresses gets no more than the table holds', (t) => {
  const limiter = new RateLimiter({ burst: 2, perSecond: 0 }, 5);
  let allowed = 0;
  for (let i = 0; i < 300_000; i++) {
    const address =
      i % 3 === 0
        ? `2001:db8:${i.toString(16)}::1`
        : `10.${String(i >> 16)}.${String((i >> 8) & 255)}.${String(i & 255)}`;
    if (limiter.take(address, 0)) allowed++;
  }
  t.ok(allowed <= 2 * 16_384, `${String(allowed)} of 300000`);
  t.end();
});
