/** Requests of one HTTP tunnel come to all edges in turn: each is passed on to the edge that has the tunnel. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { clusterMissing, startCluster } from './cluster.ts';
import { joinInsecurely, packetsOf, publishClip, trackOf } from './node-tools.ts';
import { startSprayingBalancer } from './spraying-balancer.ts';

t.setTimeout(115_000);

const [mainVideo] = videoSlotMids;
const words = 30;

t.test('long-poll clients whose requests are sprayed over three edges', { skip: clusterMissing() }, async (t) => {
  const cluster = await startCluster({ edges: 3, nodes: 1 });
  t.teardown(() => cluster.close());
  const balancer = await startSprayingBalancer(cluster.edges.map(({ url }) => url));
  t.teardown(() => balancer.close());
  const ada = await joinInsecurely(balancer.url, { room: 'r', name: 'Ada', rungs: ['long-poll'], timeoutMs: 60_000 });
  const grace = await joinInsecurely(balancer.url, {
    room: 'r',
    name: 'Grace',
    rungs: ['long-poll'],
    timeoutMs: 60_000,
  });
  t.teardown(() => Promise.all([ada.leave(), grace.leave()]));
  const lost: string[] = [];
  for (const call of [ada, grace]) {
    call.on('control', ({ connected }) => {
      if (!connected) lost.push(call.self.name);
    });
  }
  const source = await publishClip(ada);
  t.teardown(() => {
    source.stop();
  });
  await packetsOf(await trackOf(grace, mainVideo), 100);
  const heard: unknown[] = [];
  const heardAll = new Promise<void>((resolve) => {
    grace.on('participant-updated', ({ status }) => {
      heard.push(status['word']);
      if (status['word'] === words) resolve();
    });
  });
  for (let word = 1; word <= words; word++) await ada.status({ word });
  await heardAll;
  const counted = heard.filter((word) => typeof word === 'number');
  t.same(
    counted,
    [...counted].sort((a, b) => a - b),
    'in order',
  );
  t.same(lost, [], 'the connection held all the time');
  t.ok(
    balancer.requests.every((count) => count > 10),
    'all edges had requests',
  );
  const metrics = await Promise.all(cluster.edges.map((edge) => edge.metrics()));
  const forwarded = metrics.map((text) => Number(/\nsallyport_requests_forwarded_total (\d+)\n/.exec(text)?.[1] ?? 0));
  t.ok(forwarded.reduce((sum, count) => sum + count, 0) > 10, 'and passed them on');
  t.equal(cluster.edges.flatMap(({ logged }) => logged).filter((line) => line.includes('"level":50')).length, 0);
});
