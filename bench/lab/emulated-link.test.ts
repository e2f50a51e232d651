/**
 * The emulated link between real namespaces, measured from outside by UDP: what holds on any machine. A busy one delays
 * packets that the link did not, so how exact delay and rate are, and what a packet costs, `npm run bench -- link` measures.
 */
import t from 'tap';
import { labMissing } from './lab-missing.ts';
import { headerBytes, probe, withProbes } from './testing/link-probes.ts';
import type { ArrivalReading } from './testing/udp-probe.ts';

t.setTimeout(100_000);

t.test('25 ms each way make a round trip of no less than 50 ms', { skip: labMissing }, (t) =>
  withProbes('delay=25', true, async (near) => {
    const roundTrips = await probe(near, { count: 100, bytes: 100, burst: 1, intervalMs: 4 });
    t.equal(roundTrips.length, 100, 'nothing is lost');
    t.ok(Math.min(...roundTrips) > 49.9, 'none is early');
  }),
);

t.test('2 % loss each way', { skip: labMissing }, (t) =>
  withProbes('loss=2', true, async (near, far, lab) => {
    const count = 8_000;
    const roundTrips = await probe(near, { count, bytes: 1_200, burst: 20, intervalMs: 8 });
    const { count: arrived } = (await far.call('arrivals')) as ArrivalReading;
    const up = (1 - arrived / count) * 100;
    const down = (1 - roundTrips.length / arrived) * 100;
    t.ok(Math.abs(up - 2) < 0.7, `up ${up.toFixed(2)} %`);
    t.ok(Math.abs(down - 2) < 0.7, `down ${down.toFixed(2)} %`);
    const statistics = await lab.endLink();
    t.equal(statistics?.up.packets, count);
    t.equal(
      (statistics?.up.packets ?? 0) - (statistics?.up.lost ?? 0),
      arrived,
      'it lost what it says, and nothing else did',
    );
  }),
);

t.test('no more than a rate of 5 Mbit/s, offered four times as much', { skip: labMissing }, (t) =>
  withProbes('rate=5000,queue=2000000', false, async (near, far) => {
    const bytes = 1_200;
    await probe(near, { count: 1_000, bytes, burst: 20, intervalMs: 10 });
    const { count, ms } = (await far.call('arrivals')) as ArrivalReading;
    t.ok(count > 1);
    const leastMs = ((count - 1) * (bytes + headerBytes) * 8) / 5_000;
    // A busy machine may see the first one late, and the last one not.
    t.ok(ms > leastMs / 2, `${String(count)} in ${ms.toFixed(0)} ms`);
  }),
);
