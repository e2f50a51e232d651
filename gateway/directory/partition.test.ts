/** SFU nodes and edges that lose a real Redis, each by itself, while others go on, and that find it again. */
import t, { type Test } from 'tap';
import { startRelay, type Relay } from '../testing/relay.ts';
import { redisMissing, startRedis } from '../testing/redis-server.ts';
import { NodeLeases, RedisDirectory, SessionBook, type NodeRecord } from './index.ts';

t.setTimeout(115_000);

const silent = (): void => undefined;
const log = { info: silent, warn: silent };

/** An edge and an SFU node that reach Redis, and lose it, together. */
interface Side {
  readonly relay: Relay;
  readonly ofEdge: RedisDirectory;
  readonly ofNode: RedisDirectory;
}

/** With a way to Redis of its own. */
async function openSide(t: Test, port: number): Promise<Side> {
  const relay = await startRelay(port);
  t.teardown(() => relay.close());
  const open = async (): Promise<RedisDirectory> => {
    const directory = new RedisDirectory({ urls: [`redis://127.0.0.1:${String(relay.port)}`], log });
    t.teardown(() => directory.close());
    await until(() => directory.up);
    return directory;
  };
  return { relay, ofEdge: await open(), ofNode: await open() };
}

async function until(there: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await there())) await new Promise((resolve) => setTimeout(resolve, 20));
}

function nodeRecord(id: string): NodeRecord {
  const place = { host: '127.0.0.1', port: 7443, region: 'here', load: 0, version: '1', draining: false };
  return { id, instance: `${id}-first`, ...place };
}

t.test('after a partition one node has the room, and one edge the session', { skip: redisMissing() }, async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const [lost, living] = [await openSide(t, redis.port), await openSide(t, redis.port)];
  const closed: string[] = [];
  const startNode = async ({ ofNode: directory }: Side, id: string): Promise<NodeLeases> => {
    const leases = new NodeLeases({
      directory,
      node: () => nodeRecord(id),
      rooms: () => ['r'],
      lost: (room) => closed.push(`${room} at ${id}`),
      wallClock: Date.now,
      random: () => 0,
    });
    await leases.start();
    t.teardown(() => leases.close());
    return leases;
  };
  const older = await startNode(lost, 'older');
  const younger = await startNode(living, 'younger');
  t.equal(await older.admit('r'), 'ok');
  t.equal(await younger.admit('r'), 'elsewhere');
  const [lostEdge, livingEdge] = [lost, living].map(
    ({ ofEdge }, i) => new SessionBook(ofEdge, `edge${String(i + 1)}`, () => 0),
  );
  if (lostEdge === undefined || livingEdge === undefined) throw new Error('there are two edges');
  for (const book of [lostEdge, livingEdge]) {
    t.teardown(() => {
      book.close();
    });
  }
  lostEdge.taken('s', 'older', 1);
  const owner = async (): Promise<string | null> => (await living.ofEdge.findSession('s'))?.edge ?? null;
  await until(async () => (await owner()) === 'edge1');

  lost.relay.cut();
  await until(async () => !(await living.ofEdge.nodes()).some(({ id }) => id === 'older'));
  t.equal(await younger.admit('r'), 'ok', 'whoever can be reached takes the room of a node that seems dead');
  livingEdge.taken('s', 'younger', 2);
  await until(async () => (await owner()) === 'edge2');
  await until(() => !lost.ofNode.up);
  t.equal(await older.admit('r'), 'ok', 'which goes on with the room meanwhile');

  lost.relay.heal();
  await until(async () => (await living.ofEdge.findRoom('r'))?.node === 'older');
  await younger.renew();
  t.same(closed, ['r at younger'], 'the younger one closes it, so that its clients go to the older one');
  t.equal(await younger.admit('r'), 'elsewhere');
  t.equal(await older.admit('r'), 'ok');
  await until(() => lost.ofEdge.up);
  lostEdge.rungMoved('s', 'websocket');
  t.notOk(await lost.ofEdge.putSession('s', { edge: 'edge1', node: 'older', rung: 'websocket', take: 1 }));
  t.equal(await owner(), 'edge2', 'the later take counts');
  await lost.ofEdge.removeSession('s', 1);
  t.equal(await owner(), 'edge2', 'also where the earlier edge sees it end');
});
