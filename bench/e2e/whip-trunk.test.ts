/** WHIP where the SFU is another process: the edge asks it over the trunk, candidates and all. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { gstreamerMissing, GstreamerPeer } from './gstreamer.ts';
import { joinInsecurely, packetsOf, trackOf, withEdge } from './node-tools.ts';
import { clusterSecrets, startSfuNode } from './sfu-node.ts';

t.setTimeout(115_000);

t.test('GStreamer trickles to an SFU node, is seen, and is kicked', { skip: gstreamerMissing }, async (t) => {
  const node = await startSfuNode();
  t.teardown(() => node.end());
  const upstream = `trunk://127.0.0.1:${String(node.trunkPort)}`;
  const { edge } = await withEdge(t, { ...clusterSecrets, SALLYPORT_UPSTREAM: upstream });
  const ada = await joinInsecurely(edge.url, { room: 'stage', name: 'Ada', rungs: ['udp'] });
  t.teardown(() => ada.leave());
  const publisher = new GstreamerPeer({ role: 'whip', url: `${edge.url}/whip/stage?name=Camera`, trickle: true });
  t.teardown(() => publisher.close());
  t.equal((await publisher.named('posted')).status, 201);
  t.match(await publisher.named('patched'), { status: 204 });
  await publisher.state('connected');
  await packetsOf(await trackOf(ada, videoSlotMids[0]), 60);
  const [camera] = ada.participants;
  t.match(camera, { name: 'Camera' });

  const grant = { identity: null, room: 'stage', name: null, can: ['admin'], hidden: false } as const;
  const admin = await edge.tokens.issueJoinToken(grant, 60);
  const path = `/v1/rooms/stage/participants/${camera?.id ?? ''}/kick`;
  const kicked = await fetch(`http://127.0.0.1:${String(edge.port)}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin}` },
  });
  t.equal(kicked.status, 204);
  t.equal(await publisher.delete(), 404, 'its session is gone');
  t.match(await node.metrics(), /\nsallyport_sessions\{rung="udp"\} 1\n/, 'Ada is still there');
});
