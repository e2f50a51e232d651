import t from 'tap';
import { minBitrate, SendEstimate, silenceMs, startBitrate } from './send-estimate.ts';
import { VirtualPath } from './testing/virtual-path.ts';

const kbit = (bitrate: number): string => `${String(Math.round(bitrate / 1000))} kbit/s`;

t.test('it settles below what the path takes, without a standing queue', (t) => {
  for (const capacity of [300_000, 1_000_000, 2_500_000]) {
    const path = new VirtualPath({ capacity: () => capacity });
    path.run(20_000, 10_000_000);
    const from = path.now;
    const seen: number[] = [];
    for (let i = 0; i < 100; i++) {
      path.run(200, 10_000_000);
      seen.push(path.estimate.bitrate);
    }
    const mean = seen.reduce((sum, bitrate) => sum + bitrate, 0) / seen.length;
    t.ok(mean >= capacity * 0.65 && mean <= capacity * 1.1, `${kbit(mean)} of ${kbit(capacity)}`);
    const bound = capacity < 500_000 ? 400 : 250;
    t.ok(path.waitP95(from) <= bound, `${String(Math.round(path.waitP95(from)))} ms in the queue`);
  }
  t.end();
});

t.test(
  'a path that becomes narrow is found out within two seconds, and one that becomes wide again within ten',
  (t) => {
    const path = new VirtualPath({ capacity: (now) => (now >= 20_000 && now < 40_000 ? 400_000 : 3_000_000) });
    path.run(20_000, 2_000_000);
    t.ok(path.estimate.bitrate >= 1_500_000, kbit(path.estimate.bitrate));
    path.run(2000, 2_000_000);
    t.ok(path.estimate.bitrate <= 600_000, kbit(path.estimate.bitrate));
    path.run(18_000, 2_000_000);
    t.ok(path.estimate.bitrate <= 500_000, kbit(path.estimate.bitrate));
    path.run(10_000, 2_000_000);
    t.ok(path.estimate.bitrate >= 1_500_000, kbit(path.estimate.bitrate));
    t.end();
  },
);

t.test('losses that are nature change little, losses that are a full queue much', (t) => {
  const lossy = new VirtualPath({ capacity: () => 5_000_000, loss: 0.05 });
  lossy.run(20_000, 1_500_000);
  t.ok(lossy.estimate.bitrate >= 1_200_000, kbit(lossy.estimate.bitrate));
  const broken = new VirtualPath({ capacity: () => 5_000_000, loss: 0.3 });
  broken.run(20_000, 1_500_000);
  t.ok(broken.estimate.bitrate <= 400_000, kbit(broken.estimate.bitrate));
  // A policer: it has no queue, so nothing but losses tells of it.
  const policed = new VirtualPath({ capacity: () => 600_000, queueBytes: 4000 });
  policed.run(30_000, 2_000_000);
  t.ok(policed.estimate.bitrate <= 900_000, kbit(policed.estimate.bitrate));
  t.end();
});

t.test('jitter alone is no queue', (t) => {
  const path = new VirtualPath({ capacity: () => 5_000_000, jitterMs: 15 });
  path.run(30_000, 1_200_000);
  t.ok(path.estimate.bitrate >= 900_000, kbit(path.estimate.bitrate));
  t.end();
});

t.test('while little is sent, probes find out what the path takes', (t) => {
  const wide = new VirtualPath({ capacity: (now) => (now < 15_000 ? 250_000 : 5_000_000) });
  wide.runLimited(15_000, 120_000, 1_200_000);
  t.ok(wide.estimate.bitrate <= 350_000, `${kbit(wide.estimate.bitrate)} of 250`);
  wide.runLimited(20_000, 120_000, 1_200_000);
  t.ok(wide.estimate.bitrate >= 1_100_000, kbit(wide.estimate.bitrate));
  const { waits } = wide;
  const worst = Math.max(...waits.map(([, wait]) => wait));
  t.ok(worst <= 1100, `a probe made others wait ${String(Math.round(worst))} ms`);
  t.end();
});

t.test('feedback that stays out says that nothing arrives', (t) => {
  const path = new VirtualPath({ capacity: (now) => (now < 5000 ? 2_000_000 : 1) });
  path.run(5000, 1_000_000);
  t.ok(path.estimate.bitrate >= 800_000);
  path.run(silenceMs * 6, 1_000_000);
  t.ok(path.estimate.bitrate <= 100_000, kbit(path.estimate.bitrate));
  t.ok(path.estimate.bitrate >= minBitrate);
  t.end();
});

t.test('feedback of a peer that makes it up changes nothing that was not sent', (t) => {
  const estimate = new SendEstimate();
  t.equal(estimate.feedback(new Uint8Array(40), 1), false);
  t.equal(estimate.bitrate, startBitrate);
  t.end();
});
