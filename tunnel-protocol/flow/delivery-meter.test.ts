import t from 'tap';
import { DeliveryMeter } from './delivery-meter.ts';

t.test('a rate is known while more is offered than leaves', (t) => {
  const meter = new DeliveryMeter(0);
  let now = 0;
  const run = (ms: number, bytesPerMs: number, empties: boolean): void => {
    for (const until = now + ms; now < until; now += 10) {
      meter.left(bytesPerMs * 10);
      if (empties) meter.emptied();
      meter.rate(now);
    }
  };
  run(3000, 125, true);
  t.equal(meter.rate(now), null, 'it takes what it is given');
  run(1500, 125, false);
  const rate = meter.rate(now) ?? 0;
  t.ok(rate > 950_000 && rate < 1_050_000, `${String(rate)} bit/s`);
  run(3000, 125, true);
  t.equal(meter.rate(now), null, 'the queue is empty again');
  run(600, 125, false);
  t.equal(meter.rate(now + 5000), null, 'a stretch in which nobody looked says nothing');
  t.end();
});
