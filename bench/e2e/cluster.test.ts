/** Several edges and SFU nodes are one system: what calls live through when a part of it dies. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { NodeCall } from '../../client/index.ts';
import { clusterMissing, startCluster } from './cluster.ts';
import { joinInsecurely, packetsOf, publishClip, trackOf } from './node-tools.ts';

t.setTimeout(115_000);

const [mainVideo] = videoSlotMids;

/** The call's control channel is up again after it was lost. */
function back(call: NodeCall): Promise<void> {
  return new Promise((resolve) => {
    call.on('control', ({ connected }) => {
      if (connected) resolve();
    });
  });
}

t.test(
  'an edge is killed, the directory goes, an SFU node is killed: the calls go on',
  { skip: clusterMissing() },
  async (t) => {
    const cluster = await startCluster({ edges: 2, nodes: 2 });
    t.teardown(() => cluster.close());
    const [first, second] = cluster.edges;
    if (first === undefined || second === undefined) throw new Error('there are two edges');
    const ada = await joinInsecurely(first.url, { room: 'r', name: 'Ada', rungs: ['websocket'] });
    const grace = await joinInsecurely(second.url, { room: 'r', name: 'Grace', rungs: ['websocket'] });
    t.teardown(() => Promise.all([ada.leave(), grace.leave()]));
    t.match(grace.participants, [{ name: 'Ada' }], 'by either edge, one room');
    const source = await publishClip(ada);
    t.teardown(() => {
      source.stop();
    });
    const video = await trackOf(grace, mainVideo);
    await packetsOf(video, 30);

    const { sessionId } = ada;
    const adaIsBack = back(ada);
    await first.end('SIGKILL');
    await adaIsBack;
    t.equal(ada.sessionId, sessionId, 'another edge serves the same session');
    await packetsOf(video, 30);
    const status = new Promise<unknown>((resolve) => {
      grace.on('participant-updated', ({ status }) => {
        if (status['hand'] === true) resolve(status);
      });
    });
    await ada.status({ hand: true });
    await status;

    await cluster.redis.stop();
    await packetsOf(video, 30);
    const late = await joinInsecurely(second.url, { room: 'r', name: 'Late', rungs: ['websocket'] });
    t.equal(late.participants.length, 2, 'a room that is known can be joined meanwhile');
    await late.leave();
    await t.rejects(joinInsecurely(second.url, { room: 'unheard-of', rungs: ['websocket'] }), {
      code: 'edge-refused',
      serverCode: 'upstream-unavailable',
    });
    await cluster.redis.start();

    const { identity } = ada.self;
    const bothAreBack = Promise.all([back(ada), back(grace)]);
    for (const node of cluster.nodes) {
      if (/sallyport_sessions\{rung="websocket"\} [1-9]/.test(await node.metrics())) await node.end('SIGKILL');
    }
    await bothAreBack;
    t.not(ada.sessionId, sessionId, 'another node, another session');
    t.equal(ada.self.identity, identity);
    await packetsOf(video, 30);
    t.equal(cluster.edges.flatMap(({ logged }) => logged).filter((line) => line.includes('"level":50')).length, 0);
  },
);
