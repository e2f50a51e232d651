/**
 * The emulated link between real namespaces, measured from outside by UDP. What depends on time is measured in several
 * windows of which the best counts: a machine that is busy with something else delays packets that the link did not.
 */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { controlWorker, type WorkerProcess } from '../harness/worker-process.ts';
import { percentile } from '../harness/statistics.ts';
import { labMissing } from './lab-missing.ts';
import { parseLinkParameters } from './link/parameters.ts';
import { edgeAddress, withNamespaces, type Lab } from './namespaces.ts';
import type { ArrivalReading, ProbeOrder } from './testing/udp-probe.ts';

const module = fileURLToPath(new URL('./testing/udp-probe.js', import.meta.url));
const port = 9_000;
const headerBytes = 28;

/** How long a busy machine may take to have one quiet window. */
const patienceMs = 40_000;

t.setTimeout(100_000);

/** A probe in the client's namespace and one that listens in the edge's, with this link between them both ways. */
function withProbes(
  link: string,
  echo: boolean,
  use: (near: WorkerProcess, far: WorkerProcess, lab: Lab) => Promise<void>,
): Promise<void> {
  const both = parseLinkParameters(link);
  return withNamespaces({ link: { up: both, down: both } }, async (lab) => {
    const [near, far] = [controlWorker(lab.client.fork(module)), controlWorker(lab.edge.fork(module))];
    try {
      await far.call('listen', { port, echo });
      await use(near, far, lab);
    } finally {
      await Promise.all([near.stop(), far.stop()]);
    }
  });
}

async function probe(near: WorkerProcess, order: Omit<ProbeOrder, 'address' | 'port'>): Promise<number[]> {
  return (await near.call('probe', { ...order, address: edgeAddress, port })) as number[];
}

t.test('25 ms each way make a round trip of 50 ms', { skip: labMissing }, (t) =>
  withProbes('delay=25', true, async (near) => {
    let median = Infinity;
    const until = performance.now() + patienceMs;
    while (median > 53 && performance.now() < until) {
      const roundTrips = await probe(near, { count: 100, bytes: 100, burst: 1, intervalMs: 4 });
      roundTrips.sort((a, b) => a - b);
      t.equal(roundTrips.length, 100, 'nothing is lost');
      t.ok((roundTrips[0] ?? 0) > 49.9, 'none is early');
      median = Math.min(median, percentile(roundTrips, 0.5));
    }
    t.ok(median >= 49.9 && median <= 53, `median ${median.toFixed(1)} ms`);
  }),
);

t.test('2 % loss each way; what a packet costs', { skip: labMissing }, (t) =>
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
    const cost = statistics?.cpuUsPerPacket ?? Infinity;
    // A call of 4 Mbit/s is some 500 packets a second: it must not need a fifth of a processor for the link.
    t.ok(cost < 400, `${cost.toFixed(1)} µs of CPU per packet, the network stack's part included`);
  }),
);

t.test('a rate of 5 Mbit/s, offered twice as much', { skip: labMissing }, (t) =>
  withProbes('rate=5000,queue=2000000', false, async (near, far) => {
    const bytes = 1_200;
    let best = Infinity;
    const until = performance.now() + patienceMs;
    while (Math.abs(best - 5) > 0.5 && performance.now() < until) {
      await probe(near, { count: 1_000, bytes, burst: 10, intervalMs: 10 });
      const { count, ms } = (await far.call('arrivals')) as ArrivalReading;
      const megabitsPerSecond = ((count - 1) * (bytes + headerBytes) * 8) / (ms * 1_000);
      if (Math.abs(megabitsPerSecond - 5) < Math.abs(best - 5)) best = megabitsPerSecond;
    }
    t.ok(Math.abs(best - 5) <= 0.5, `${best.toFixed(2)} Mbit/s`);
  }),
);
