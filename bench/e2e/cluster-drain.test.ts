/** An edge is taken out of service during a call. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { clusterMissing, startCluster } from './cluster.ts';
import { joinInsecurely, packetsOf, publishClip, trackOf } from './node-tools.ts';

t.setTimeout(115_000);

const [mainVideo] = videoSlotMids;

/** The edge names the other one to those who join. */
async function seen(url: string, other: string): Promise<void> {
  for (;;) {
    const call = await joinInsecurely(url, { room: 'probe', rungs: ['websocket'] });
    const { edges } = call;
    await call.leave();
    if (edges.includes(other)) return;
  }
}

t.test('a drained edge ends when its clients have gone to another one', { skip: clusterMissing() }, async (t) => {
  const cluster = await startCluster({ edges: 1, nodes: 1 });
  t.teardown(() => cluster.close());
  const [first] = cluster.edges;
  if (first === undefined) throw new Error('there is one edge');
  const ada = await joinInsecurely(first.url, { room: 'r', name: 'Ada', rungs: ['websocket'] });
  const grace = await joinInsecurely(first.url, { room: 'r', name: 'Grace', rungs: ['websocket'] });
  t.teardown(() => Promise.all([ada.leave(), grace.leave()]));
  const source = await publishClip(ada);
  t.teardown(() => {
    source.stop();
  });
  const video = await trackOf(grace, mainVideo);
  await packetsOf(video, 30);
  const before = [ada.sessionId, grace.sessionId];
  const lost: string[] = [];
  for (const call of [ada, grace]) {
    call.on('control', ({ connected }) => {
      if (!connected) lost.push(call.self.name);
    });
  }

  // It was not there when they joined: only the hint can tell them.
  const second = await cluster.startEdge('edge2');
  await seen(first.url, second.url);
  await first.drain();
  await first.end('SIGCONT');
  t.same([ada.sessionId, grace.sessionId], before);
  t.same(lost, [], 'the next connection carries the session before the one before is left');
  await packetsOf(video, 30);
  t.match(await second.metrics(), /\nsallyport_sessions\{rung="websocket"\} 2\n/);
});
