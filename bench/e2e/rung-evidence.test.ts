/**
 * What makes media climb and step down: proofs, and reports of both ends on what arrives. When they do is tested on a
 * virtual clock beside the code, and measured by `npm run bench -- ladder`.
 */
import t from 'tap';
import type { Test } from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { LadderEvent, NodeCall } from '../../client/index.ts';
import { packetsOf, publishClip, trackOf, withEdge, testTimeoutMs } from './node-tools.ts';
import { relayAddress, startUdpRelay } from './udp-relay.ts';
import type { UdpRelay } from './udp-relay.ts';

t.setTimeout(testTimeoutMs);

const [mainVideo] = videoSlotMids;

type EventOf<T extends LadderEvent['type']> = Extract<LadderEvent, { type: T }>;

function nextOf<T extends LadderEvent['type']>(
  call: NodeCall,
  type: T,
  wanted: (event: EventOf<T>) => boolean = () => true,
): Promise<EventOf<T>> {
  return new Promise((resolve) => {
    const off = call.on('ladder', (event) => {
      if (event.type !== type || !wanted(event as EventOf<T>)) return;
      off();
      resolve(event as EventOf<T>);
    });
  });
}

/** Ada sends by the tunnel, Grace receives over UDP that the relay carries. */
async function oneWayCall(t: Test): Promise<{ relay: UdpRelay; ada: NodeCall; grace: NodeCall }> {
  const { edge, joined, cleanUp } = await withEdge(t, { SALLYPORT_PUBLIC_ADDRESS: relayAddress });
  const relay = await startUdpRelay('127.0.0.1', edge.udpPort);
  cleanUp(() => {
    relay.close();
  });
  const ada = await joined(edge.url, { room: 'r', name: 'Ada', rungs: ['websocket'] });
  const grace = await joined(edge.url, { room: 'r', name: 'Grace', rungs: ['udp', 'websocket'] });
  t.equal(grace.rung, 'udp', 'a first path needs no proof');
  const source = await publishClip(ada);
  cleanUp(() => {
    source.stop();
  });
  await packetsOf(await trackOf(grace, mainVideo), 60);
  return { relay, ada, grace };
}

t.test('UDP dies: confirmed silence, and the tunnel; UDP returns: up when it is proven', async (t) => {
  const { relay, grace } = await oneWayCall(t);
  relay.down = true;
  const down = await nextOf(grace, 'downgrade');
  t.match(down, { from: 'udp', to: 'websocket', reason: 'rung-failed', evidence: { cause: 'silence', share: 1 } });
  await packetsOf(await trackOf(grace, mainVideo), 30);
  relay.down = false;
  // On a machine that stands still for a second a proof fails, and is made again when the network seems another one.
  const proofs: LadderEvent[] = [];
  grace.on('ladder', (event) => {
    if (event.type !== 'rung_attempt' || event.step !== 'proof') return;
    proofs.push(event);
    if (event.outcome === 'failed') grace.networkChanged();
  });
  t.match(await nextOf(grace, 'upgrade'), { from: 'websocket', to: 'udp', reason: 'better-rung-proven' });
  t.match(proofs.at(-1), { rung: 'udp', outcome: 'proven', sent: 150 }, 'not by one lucky reply');
  await packetsOf(await trackOf(grace, mainVideo), 30);
  const dwells = grace.ladderLog.filter(({ type }) => type === 'dwell') as EventOf<'dwell'>[];
  t.same(
    dwells.map(({ rung }) => rung),
    ['udp', 'websocket'],
  );
});

t.test('UDP that loses every fifth datagram: down to the tunnel, and no way up without a proof', async (t) => {
  const { relay, grace } = await oneWayCall(t);
  relay.loss = 0.2;
  const down = await nextOf(grace, 'downgrade');
  t.match(down, { from: 'udp', to: 'websocket', reason: 'rung-failed', evidence: { cause: 'loss' } });
  const proof = await nextOf(grace, 'rung_attempt', ({ step }) => step === 'proof');
  t.match(proof, { rung: 'udp', outcome: 'failed' });
  await packetsOf(await trackOf(grace, mainVideo), 60);
  t.equal(grace.rung, 'websocket');
  t.equal(grace.ladderLog.filter(({ type }) => type === 'upgrade').length, 0);
  t.comment(`the proof failed after ${proof.ms.toFixed(0)} ms: ${JSON.stringify(proof)}`);
});
