/** An edge that came after a client had joined is where the client goes when its own is gone. */
import t from 'tap';
import type { NodeCall } from '../../client/index.ts';
import { clusterMissing, startCluster } from './cluster.ts';
import { joinInsecurely } from './node-tools.ts';

t.setTimeout(115_000);

/** Resolves when the call's control channel is up again after it was lost. */
function back(call: NodeCall): Promise<void> {
  return new Promise((resolve) => {
    call.on('control', ({ connected }) => {
      if (connected) resolve();
    });
  });
}

t.test('clients are told of edges that come later', { skip: clusterMissing() }, async (t) => {
  const cluster = await startCluster({ edges: 1, nodes: 1 });
  t.teardown(() => cluster.close());
  const [first] = cluster.edges;
  if (first === undefined) throw new Error('there is one edge');
  const calls = [
    await joinInsecurely(first.url, { room: 'r', name: 'Ada', rungs: ['websocket'] }),
    await joinInsecurely(first.url, { room: 'r', name: 'Grace', rungs: ['long-poll'] }),
  ];
  t.teardown(() => Promise.all(calls.map((call) => call.leave())));
  const before = calls.map(({ sessionId }) => sessionId);
  const second = await cluster.startEdge('edge2');
  while (!calls.every(({ edges }) => edges.includes(second.url)))
    await new Promise((resolve) => setTimeout(resolve, 50));

  const areBack = Promise.all(calls.map(back));
  await first.end('SIGKILL');
  await areBack;
  t.same(
    calls.map(({ sessionId }) => sessionId),
    before,
  );
  for (const call of calls) await call.status({ hand: true });
  t.match(await second.metrics(), /\nsallyport_sessions\{rung="websocket"\} 1\n/);
});
