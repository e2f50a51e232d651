import t from 'tap';
import { addressPrefix } from './address-prefix.ts';
import { ReplyLimiter } from './reply-limiter.ts';

t.test('prefixes', (t) => {
  t.equal(addressPrefix('192.0.2.77', 24, 56), '192.0.2.0');
  t.equal(addressPrefix('192.0.2.77', 32, 56), '192.0.2.77');
  t.equal(addressPrefix('2001:db8:1:2ff::9', 24, 56), '2001:db8:1:200::');
  t.equal(addressPrefix('nonsense', 24, 56), 'nonsense');
  t.end();
});

t.test('two seconds at once, then the rate, per prefix and for all', (t) => {
  const limiter = new ReplyLimiter(10, 30, 7, 1000);
  const taken = (address: string, nowMs: number): number => {
    let count = 0;
    for (let i = 0; i < 100; i++) if (limiter.take(address, nowMs)) count++;
    return count;
  };
  t.equal(taken('192.0.2.1', 1000), 20);
  t.equal(taken('192.0.2.2', 1500), 5);
  t.equal(taken('192.0.3.1', 1500), 20);
  t.equal(taken('192.0.4.1', 1500), 20);
  t.equal(taken('192.0.5.1', 1500), 60 + 15 - 20 - 5 - 20 - 20 < 0 ? 0 : 10, 'the rest of what all may have');
  t.equal(taken('192.0.2.1', 100_000), 20);
  t.end();
});
