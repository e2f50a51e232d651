import t from 'tap';
import { TokenBucket } from './token-bucket.ts';

t.test('a burst, then the rate', (t) => {
  const bucket = new TokenBucket(3, 10, 1000);
  t.strictSame(
    [1, 2, 3, 4].map(() => bucket.take(1, 1000)),
    [true, true, true, false],
  );
  t.equal(bucket.take(1, 1099), false);
  t.equal(bucket.take(1, 1100), true);
  t.equal(bucket.take(2, 1250), false, 'taking nothing when too little is left');
  t.equal(bucket.take(1, 1250), true);
  t.equal(bucket.take(4, 99_000), false, 'never more than the burst');
  t.equal(bucket.take(3, 99_000), true);
  t.end();
});
