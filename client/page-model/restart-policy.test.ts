import t from 'tap';
import { ProbePolicy, RestartPolicy } from './restart-policy.ts';

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

t.test('WebRTC is tried again every 30 s, and sooner after it had to be left', (t) => {
  const policy = new ProbePolicy();
  t.equal(policy.delay(0), 30_000);
  policy.fell(1_000);
  t.equal(policy.delay(1_000), 5_000);
  t.equal(policy.delay(6_000), 30_000, 'that was the attempt');
  policy.fell(10_000);
  t.equal(policy.delay(10_000), 10_000);
  policy.fell(30_000);
  policy.fell(60_000);
  policy.fell(100_000);
  t.equal(policy.delay(100_000), 30_000, 'one that is lost again and again is no better');
  policy.fell(300_000);
  t.equal(policy.delay(300_000), 5_000);
  t.end();
});
