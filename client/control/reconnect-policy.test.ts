import t from 'tap';
import { ReconnectPolicy } from './reconnect-policy.ts';

t.test('soon at first, doubling, spread, and the last attempt within the grace period', (t) => {
  const policy = new ReconnectPolicy(30_000, () => 1);
  let now = 1000;
  const waits: number[] = [];
  for (let wait = policy.failed(now); wait !== null; wait = policy.failed(now)) {
    waits.push(wait);
    now += wait;
  }
  t.same(waits, [100, 250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 5000, 2150]);
  t.equal(now, 31_000);
  policy.connected();
  t.equal(policy.failed(now), 100, 'and anew after a connection');
  const spread = new ReconnectPolicy(30_000, () => 0);
  t.same([spread.failed(0), spread.failed(0), spread.failed(125)], [0, 125, 250]);
  t.end();
});
