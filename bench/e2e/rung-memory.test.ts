/**
 * A network that is known: the rung that it needed is begun with. That media then waits for no better one is tested on a
 * virtual clock beside the code, and measured by `npm run bench -- ladder`.
 */
import t from 'tap';
import { createPathMemory } from '../../client/index.ts';
import type { PathMemory, RememberedPath } from '../../client/index.ts';
import { publishClip, packetsOf, trackOf, withEdge, testTimeoutMs } from './node-tools.ts';
import { audioSlotMids } from '../../tunnel-protocol/index.ts';
import { relayAddress, startUdpRelay } from './udp-relay.ts';

t.setTimeout(testTimeoutMs);

t.test('where UDP does not pass, the second join knows it, but still tries it', async (t) => {
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
  const recalled: (RememberedPath | undefined)[] = [];
  const pathMemory: PathMemory = {
    get: (network) => {
      const path = inProcess.get(network);
      recalled.push(path);
      return path;
    },
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
  t.ok(recalled.length > 0);
  t.same(new Set(recalled.splice(0)), new Set([undefined]), 'nothing was known before');
  const asked = relay.datagrams;
  const second = await joined(edge.url, { ...options, name: 'Grace' });
  t.equal(second.rung, 'websocket');
  t.ok(recalled.length > 0);
  t.same(new Set(recalled.map((path) => path?.rung)), new Set(['websocket']));
  await packetsOf(await trackOf(second, audioSlotMids[0]), 30);
  t.ok(relay.datagrams > asked, 'UDP is tried beside');
});
