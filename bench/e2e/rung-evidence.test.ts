/** What makes media climb and step down: proofs, and reports of both ends on what arrives. */
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

t.test(
  'UDP dies: confirmed silence, the tunnel within about a second; UDP returns: up when it is proven',
  async (t) => {
    const { relay, grace } = await oneWayCall(t);
    relay.down = true;
    const diedAt = performance.now();
    const down = await nextOf(grace, 'downgrade');
    const downMs = performance.now() - diedAt;
    t.match(down, { from: 'udp', to: 'websocket', reason: 'rung-failed', evidence: { cause: 'silence' } });
    t.ok(downMs >= 800, 'not before it is silent');
    t.ok(downMs <= 1500, `${downMs.toFixed(0)} ms`);
    await packetsOf(await trackOf(grace, mainVideo), 30);
    relay.down = false;
    const backAt = performance.now();
    const proof = nextOf(grace, 'rung_attempt', ({ step }) => step === 'proof');
    const up = await nextOf(grace, 'upgrade');
    const upMs = performance.now() - backAt;
    t.match(await proof, { rung: 'udp', outcome: 'proven', sent: 150 });
    t.match(up, { from: 'websocket', to: 'udp', reason: 'better-rung-proven' });
    t.ok(upMs >= 2_900, 'not by one lucky reply');
    await packetsOf(await trackOf(grace, mainVideo), 30);
    t.comment(`down after ${downMs.toFixed(0)} ms, up after ${upMs.toFixed(0)} ms`);
    const dwells = grace.ladderLog.filter(({ type }) => type === 'dwell') as EventOf<'dwell'>[];
    t.same(
      dwells.map(({ rung }) => rung),
      ['udp', 'websocket'],
    );
  },
);

t.test('UDP that loses every fifth datagram: down to the tunnel, and no way up without a proof', async (t) => {
  const { relay, grace } = await oneWayCall(t);
  relay.loss = 0.2;
  const lossyAt = performance.now();
  const down = await nextOf(grace, 'downgrade');
  const downMs = performance.now() - lossyAt;
  t.match(down, { from: 'udp', to: 'websocket', reason: 'rung-failed', evidence: { cause: 'loss' } });
  t.ok(downMs <= 7_000, `${downMs.toFixed(0)} ms`);
  const proof = await nextOf(grace, 'rung_attempt', ({ step }) => step === 'proof');
  t.match(proof, { rung: 'udp', outcome: 'failed' });
  await packetsOf(await trackOf(grace, mainVideo), 60);
  t.equal(grace.rung, 'websocket');
  t.equal(grace.ladderLog.filter(({ type }) => type === 'upgrade').length, 0);
  t.comment(
    `down after ${downMs.toFixed(0)} ms; the proof failed after ${proof.ms.toFixed(0)} ms: ${JSON.stringify(proof)}`,
  );
});
