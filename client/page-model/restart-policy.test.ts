import t from 'tap';
import { RestartPolicy } from './restart-policy.ts';

t.test('a gap may heal by itself, a failure does not; attempts get more time, up to a limit', (t) => {
  const policy = new RestartPolicy();
  t.equal(policy.delay('disconnected'), 2_500);
  t.equal(policy.delay('failed'), 0);
  const delays = Array.from({ length: 5 }, () => {
    policy.attempted();
    return policy.delay('failed');
  });
  t.same(delays, [4_000, 8_000, 15_000, 15_000, 15_000]);
  policy.reset();
  t.equal(policy.delay('failed'), 0);
  t.end();
});
