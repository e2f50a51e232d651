/** Calls through an edge and an SFU node that is another process. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { joinInsecurely, packetsOf, publishClip, statsUntil, trackOf, withEdge } from './node-tools.ts';
import { clusterSecrets, startSfuNode } from './sfu-node.ts';

t.setTimeout(115_000);

const [mainVideo] = videoSlotMids;

t.test('two Node clients on one rung after the other, through an edge and an SFU node', async (t) => {
  const node = await startSfuNode();
  t.teardown(() => node.end());
  const upstream = `trunk://127.0.0.1:${String(node.trunkPort)}`;
  const { edge } = await withEdge(t, { ...clusterSecrets, SALLYPORT_UPSTREAM: upstream });
  for (const rung of ['websocket', 'ice-tcp', 'turn-tls', 'udp'] as const) {
    const ada = await joinInsecurely(edge.url, { room: rung, name: 'Ada', rungs: [rung] });
    const grace = await joinInsecurely(edge.url, { room: rung, name: 'Grace', rungs: [rung] });
    t.match(grace.participants, [{ name: 'Ada' }]);
    t.equal(ada.rung, rung);
    const source = await publishClip(ada);
    await packetsOf(await trackOf(grace, mainVideo), 60);
    const received = await statsUntil(grace, (stats) => stats.packetsReceived > 60);
    t.equal(received.packetsLost, 0);
    const metrics = await node.metrics();
    t.match(metrics, /\nsallyport_trunk_edges 1\n/);
    t.match(metrics, new RegExp(`\\nsallyport_sessions\\{rung="${rung}"\\} 2\\n`));
    const carried = /sallyport_datagrams_total\{rung="udp",direction="out"\} (\d+)/.exec(metrics)?.[1] ?? '0';
    if (rung === 'udp') t.ok(Number(carried) > 50, 'media went past the edge');
    else t.equal(carried, '0', 'media went by the trunk');
    t.match(await edge.metrics(), new RegExp(`\\nsallyport_sessions\\{rung="${rung}"\\} 2\\n`));
    source.stop();
    await Promise.all([ada.leave(), grace.leave()]);
  }
});
