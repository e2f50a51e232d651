/** A network that takes nothing any more from the client, but still delivers to it: only the server can know. */
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { LadderEvent } from '../../client/index.ts';
import { packetsOf, publishClip, trackOf, withEdge, testTimeoutMs } from './node-tools.ts';
import { relayAddress, startUdpRelay } from './udp-relay.ts';

t.setTimeout(testTimeoutMs);

t.test('the way up dies: the reports of the server tell, and media goes on by the tunnel', async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t, { SALLYPORT_PUBLIC_ADDRESS: relayAddress });
  const relay = await startUdpRelay('127.0.0.1', edge.udpPort);
  cleanUp(() => {
    relay.close();
  });
  const ada = await joined(edge.url, { room: 'r', name: 'Ada', rungs: ['udp', 'websocket'] });
  const grace = await joined(edge.url, { room: 'r', name: 'Grace', rungs: ['websocket'] });
  t.equal(ada.rung, 'udp');
  const sources = [await publishClip(ada), await publishClip(grace)];
  cleanUp(() => {
    for (const source of sources) source.stop();
  });
  const track = await trackOf(grace, videoSlotMids[0]);
  await Promise.all([packetsOf(track, 60), packetsOf(await trackOf(ada, videoSlotMids[0]), 60)]);
  const left = new Promise<LadderEvent>((resolve) => {
    ada.on('ladder', (event) => {
      if (event.type === 'downgrade') resolve(event);
    });
  });
  relay.upDown = true;
  const down = await left;
  t.match(down, { from: 'udp', to: 'websocket', evidence: { cause: /^(silence|loss)$/, direction: 'up' } });
  await packetsOf(track, 60);
  t.match(await edge.metrics(), /^sallyport_rung_changes_total\{from="udp",to="websocket",reason="nominated"\} 1$/m);
});
