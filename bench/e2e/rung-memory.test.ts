/** A network that is known: the rung that it needed is begun with. */
import t from 'tap';
import { createPathMemory } from '../../client/index.ts';
import type { NodeCall, PathMemory, RememberedPath } from '../../client/index.ts';
import { publishClip, packetsOf, trackOf, withEdge, testTimeoutMs } from './node-tools.ts';
import { audioSlotMids } from '../../tunnel-protocol/index.ts';
import { relayAddress, startUdpRelay } from './udp-relay.ts';

t.setTimeout(testTimeoutMs);

/** How long the tunnel, which worked, had to wait until media was put on it, in ms. */
function waitedMs({ ladderLog }: NodeCall): number {
  const selected = ladderLog.find(({ type }) => type === 'rung_selected');
  const open = ladderLog.find((event) => event.type === 'rung_attempt' && event.outcome === 'connected');
  return (selected?.atMs ?? NaN) - (open?.atMs ?? NaN);
}

t.test('where UDP does not pass, the second join does not wait for it, but still tries it', async (t) => {
  const { edge, joined, cleanUp } = await withEdge(t, { SALLYPORT_PUBLIC_ADDRESS: relayAddress });
  const relay = await startUdpRelay('127.0.0.1', edge.udpPort);
  cleanUp(() => {
    relay.close();
  });
  relay.down = true;
  const inProcess = createPathMemory();
  const noted = new Map<string, RememberedPath>();
  let tell: () => void = () => undefined;
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const pathMemory: PathMemory = {
    get: (network) => inProcess.get(network),
    set: (network, path) => {
      inProcess.set(network, path);
      noted.set(network, path);
      // The control channel keeps a note of its own.
      if (path.rung === 'websocket' && noted.size === 2) tell();
    },
  };
  const options = { room: 'r', rungs: ['udp', 'websocket'], pathMemory } as const;
  const first = await joined(edge.url, { ...options, name: 'Ada' });
  t.equal(first.rung, 'websocket');
  const source = await publishClip(first);
  cleanUp(() => {
    source.stop();
  });
  await told;
  t.same(
    [...noted.values()].map(({ rung }) => rung),
    ['websocket', 'websocket'],
  );
  const asked = relay.datagrams;
  const waits: number[] = [];
  let second = first;
  // A machine that is busy lets anything wait now and then: the middle one of three counts.
  while (waits.length < 3) {
    second = await joined(edge.url, { ...options, name: `Grace ${String(waits.length)}` });
    t.equal(second.rung, 'websocket');
    waits.push(waitedMs(second));
  }
  const [, median = NaN] = waits.toSorted((a, b) => a - b);
  t.ok(median < waitedMs(first), `${median.toFixed(1)} < ${waitedMs(first).toFixed(1)} ms`);
  await packetsOf(await trackOf(second, audioSlotMids[0]), 30);
  t.ok(relay.datagrams > asked, 'UDP is tried beside');
  t.comment(
    `the tunnel waited ${waitedMs(first).toFixed(1)} ms for UDP, then ${waits.map((ms) => ms.toFixed(1)).join(', ')} ms`,
  );
});
