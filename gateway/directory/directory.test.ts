/** The directory in memory and in a real Redis: the same words, the same answers. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import {
  redisMissing,
  startGuardedRedis,
  startRedis,
  startRedisCluster,
  type RedisServer,
} from '../testing/redis-server.ts';
import { testCertificate } from '../testing/tls-fixture.ts';
import {
  DirectoryDown,
  DirectoryView,
  MemoryDirectory,
  NodeLeases,
  RedisDirectory,
  SessionBook,
  type Directory,
  type EdgeRecord,
  type NodeRecord,
} from './index.ts';

t.setTimeout(115_000);

const silent = (): void => undefined;
const log = { info: silent, warn: silent };
const skip = redisMissing();

function nodeRecord(id: string, more: Partial<NodeRecord> = {}): NodeRecord {
  const place = { host: '127.0.0.1', port: 7443, region: 'here', load: 0, version: '1', draining: false };
  return { id, instance: `${id}-first`, ...place, ...more };
}

function edgeRecord(id: string): EdgeRecord {
  const url = `https://${id}.example`;
  const more = { region: 'here', load: 0, version: '1', draining: false, fingerprint: '', proof: '' };
  return { id, instance: `${id}-first`, url, ...more };
}

/** Several, as several processes have them, over one and the same store. */
type Open = () => Promise<Directory>;

async function withRedis(t: Test): Promise<Open> {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const prefix = `test-${randomUUID()}`;
  return async () => {
    const directory = new RedisDirectory({ urls: [redis.url], log, prefix });
    t.teardown(() => directory.close());
    await up(directory);
    return directory;
  };
}

/** By TLS, for a user with a password. */
async function withGuardedRedis(t: Test): Promise<Open> {
  const { certFile, keyFile } = await testCertificate(t.testdir());
  const ca = await readFile(certFile, 'utf8');
  const redis = await startGuardedRedis({ certFile, keyFile, user: 'sallyport', password: 'p@ss:w/rd' });
  t.teardown(() => redis.stop());
  return async () => {
    const directory = new RedisDirectory({ urls: [redis.url], ca, log });
    t.teardown(() => directory.close());
    await up(directory);
    return directory;
  };
}

let redisCluster: Promise<readonly RedisServer[]> | null = null;

/** Started once for all its tests, because its nodes take seconds to agree. */
async function withRedisCluster(inner: Test): Promise<Open> {
  if (redisCluster === null) {
    redisCluster = startRedisCluster(3, t.testdir());
    t.teardown(async () => Promise.all(((await redisCluster) ?? []).map((node) => node.stop())));
  }
  const urls = (await redisCluster).slice(0, 2).map(({ url }) => url);
  const prefix = `test-${randomUUID()}`;
  return async () => {
    const directory = new RedisDirectory({ urls, log, prefix });
    inner.teardown(() => directory.close());
    await up(directory);
    return directory;
  };
}

async function up(directory: Directory): Promise<void> {
  while (!directory.up) await new Promise((resolve) => setTimeout(resolve, 10));
}

function inMemory(): Promise<Open> {
  const directory = new MemoryDirectory();
  return Promise.resolve(() => Promise.resolve(directory));
}

for (const [name, store] of [
  ['in memory', inMemory],
  ['in Redis', withRedis],
  ['in Redis by TLS, with a password', withGuardedRedis],
  ['in a Redis Cluster', withRedisCluster],
] as const) {
  const options = name === 'in memory' ? {} : { skip };

  t.test(`${name}: who is there`, options, async (t) => {
    const open = await store(t);
    const [a, b] = [await open(), await open()];
    await a.announceNode(nodeRecord('n1'));
    await a.announceNode(nodeRecord('n1', { load: 7 }));
    await b.announceEdge(edgeRecord('e1'));
    t.match(await b.nodes(), [{ id: 'n1', load: 7 }]);
    t.match(await a.edges(), [{ id: 'e1', url: 'https://e1.example' }]);
    await b.withdrawNode('n1', 'another instance');
    t.equal((await a.nodes()).length, 1, 'a word on an earlier instance concerns nobody');
    await b.withdrawNode('n1', 'n1-first');
    t.same(await a.nodes(), []);
  });

  t.test(`${name}: rooms`, options, async (t) => {
    const open = await store(t);
    const [a, b] = [await open(), await open()];
    const older = { node: 'n1', instance: 'i1', epoch: 1000 };
    const younger = { node: 'n2', instance: 'i2', epoch: 2000 };
    t.equal(await a.findRoom('r'), null);
    t.same(await a.claimRoom('r', older, null), older);
    t.same(await b.claimRoom('r', younger, null), older, 'held is held');
    t.same(await b.claimRoom('r', younger, { ...older, epoch: 999 }), older, 'the dead one was another');
    t.same(await b.claimRoom('r', younger, older), younger, 'the holder is dead');
    t.same(await a.renewRoom('r', older), older, 'it was not dead: the older one has it again');
    t.same(await b.renewRoom('r', younger), older, 'and the younger one learns of it');
    await b.releaseRoom('r', younger);
    t.same(await b.findRoom('r'), older);
    await a.releaseRoom('r', older);
    t.equal(await b.findRoom('r'), null);
    t.same(await b.renewRoom('r', younger), younger, 'what was forgotten is written again');
  });

  t.test(`${name}: sessions and connections`, options, async (t) => {
    const open = await store(t);
    const [a, b] = [await open(), await open()];
    const at = (edge: string, take: number) => ({ edge, node: 'n1', rung: 'websocket', take }) as const;
    t.ok(await a.putSession('s', at('e1', 1)));
    t.ok(await b.putSession('s', at('e2', 2)));
    t.notOk(await a.putSession('s', at('e1', 1)), 'the edge that it left is not believed any more');
    t.same(await a.findSession('s'), at('e2', 2));
    await a.removeSession('s', 1);
    t.same(await a.findSession('s'), at('e2', 2), 'its end there is not the end of it');
    await b.removeSession('s', 2);
    t.equal(await a.findSession('s'), null);
    const owners = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? a : b).claimConnection('s', 'c', `e${String(i)}`)),
    );
    t.equal(new Set(owners).size, 1, 'one edge has a connection, whoever asks at once');
    t.equal(await a.findConnection('s', 'c'), owners[0]);
    t.equal(await a.findConnection('s', 'another'), null);
  });

  t.test(`${name}: one room, one node, in 1,000 races`, options, async (t) => {
    const open = await store(t);
    const nodes = await Promise.all(
      ['n1', 'n2', 'n3'].map(async (id) => {
        const directory = await open();
        const leases = new NodeLeases({
          directory,
          node: () => nodeRecord(id),
          rooms: () => [],
          lost: () => t.fail('nobody holds what another one has'),
          wallClock: Date.now,
          random: Math.random,
        });
        await leases.start();
        t.teardown(() => leases.close());
        return leases;
      }),
    );
    let split = 0;
    for (let race = 0; race < 1000; race += 100) {
      await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          const answers = await Promise.all(nodes.map((leases) => leases.admit(`room-${String(race + i)}`)));
          if (answers.filter((answer) => answer === 'ok').length !== 1) split++;
        }),
      );
    }
    t.equal(split, 0);
  });
}

t.test(
  'an edge places rooms on the less loaded of two nodes, near ones first, and none on those that drain',
  async (t) => {
    const directory = new MemoryDirectory();
    let random = 0;
    const view = new DirectoryView({
      directory,
      region: 'here',
      edgeId: 'e1',
      edge: () => edgeRecord('e1'),
      // Always the first and the second.
      random: () => (random = random === 0 ? 0.5 : 0),
    });
    t.teardown(() => view.close());
    await t.rejects(view.place('r'), { name: 'UpstreamUnavailable', retryAfterSeconds: 3 });
    await directory.announceNode(nodeRecord('far', { region: 'there' }));
    await view.refresh();
    t.match(await view.place('r'), { id: 'far' });
    await directory.announceNode(nodeRecord('busy', { load: 9 }));
    await directory.announceNode(nodeRecord('idle', { load: 1 }));
    await directory.announceNode(nodeRecord('leaving', { draining: true }));
    await view.refresh();
    for (let i = 0; i < 4; i++) t.match(await view.place('r'), { id: 'idle' });
    await directory.claimRoom('held', { node: 'busy', instance: 'busy-first', epoch: 1 }, null);
    t.match(await view.place('held'), { id: 'busy' }, 'a room stays where it is');
    view.placed('held', { id: 'busy', host: '', port: 0, isNamed: true });
    view.died({ id: 'busy', host: '', port: 0, isNamed: true });
    t.match(await view.place('held'), { id: 'idle' }, 'unless its node has died');
    t.match((await directory.nodes()).map(({ id }) => id).sort(), ['far', 'idle', 'leaving']);
  },
);

t.test('a Redis by TLS that nobody vouches for, and a wrong password', { skip }, async (t) => {
  const { certFile, keyFile } = await testCertificate(t.testdir());
  const ca = await readFile(certFile, 'utf8');
  const redis = await startGuardedRedis({ certFile, keyFile, user: 'sallyport', password: 'right' });
  t.teardown(() => redis.stop());
  const fault = (url: string, ca?: string): Promise<unknown> =>
    new Promise((resolve) => {
      const warn = ({ err }: { readonly err?: unknown }): void => {
        resolve(err);
      };
      const directory = new RedisDirectory({ urls: [url], ca, log: { info: silent, warn } });
      t.teardown(() => directory.close());
    });
  t.match(await fault(redis.url), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  t.match(await fault(redis.url.replace('right', 'wrong'), ca), /WRONGPASS/);
});

t.test('a Redis that falls silent is connected to anew', { skip }, async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const directory = new RedisDirectory({ urls: [redis.url], log });
  t.teardown(() => directory.close());
  await up(directory);
  redis.pause();
  await t.rejects(directory.edges(), DirectoryDown);
  while (directory.up) await new Promise((resolve) => setImmediate(resolve));
  const isUp = new Promise<void>((resolve) => (directory.onUp = resolve));
  redis.resume();
  await isUp;
  t.same(await directory.edges(), []);
});

t.test('a Redis that goes away and comes back empty', { skip }, async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const open = async (): Promise<RedisDirectory> => {
    const directory = new RedisDirectory({ urls: [redis.url], log });
    t.teardown(() => directory.close());
    await up(directory);
    return directory;
  };
  const [ofEdge, ofNode] = [await open(), await open()];
  const leases = new NodeLeases({
    directory: ofNode,
    node: () => nodeRecord('n1'),
    rooms: () => ['r'],
    lost: () => t.fail('nobody else holds the room'),
    wallClock: Date.now,
    random: Math.random,
  });
  await leases.start();
  t.teardown(() => leases.close());
  const view = new DirectoryView({
    directory: ofEdge,
    region: 'here',
    edgeId: 'e1',
    edge: () => edgeRecord('e1'),
    random: Math.random,
  });
  await view.start();
  t.teardown(() => view.close());
  const sessions = new SessionBook(ofEdge, 'e1', Math.random);
  t.teardown(() => {
    sessions.close();
  });
  t.equal(await leases.admit('r'), 'ok');
  view.placed('r', await view.place('r'));
  sessions.taken('s', 'n1', 1);

  await redis.stop();
  while (ofEdge.up || ofNode.up) await new Promise((resolve) => setTimeout(resolve, 10));
  t.match(await view.place('r'), { id: 'n1' }, 'a room that is known goes on');
  t.equal(await leases.admit('r'), 'ok');
  await t.rejects(view.place('another'), { name: 'UpstreamUnavailable' });
  t.equal(await leases.admit('another'), 'directory-down');
  await t.rejects(ofEdge.edges(), DirectoryDown);

  await redis.start();
  const told = await open();
  const until = async (there: () => Promise<boolean>): Promise<void> => {
    while (!(await there().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await until(async () => (await told.findRoom('r'))?.node === 'n1');
  await until(async () => (await told.findSession('s'))?.edge === 'e1');
  await until(async () => (await told.nodes()).length === 1 && (await told.edges()).length === 1);
  t.pass('everybody has written what is theirs');
});
