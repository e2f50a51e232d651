import t from 'tap';
import { MemoryDirectory, type EdgeRecord } from './directory/index.ts';
import type { RequestHead } from './engine/index.ts';
import { Secret } from './secret.ts';
import { edgeProof, Strays } from './strays.ts';

const secret = new Secret('the secret of a cluster of tests, with more than thirty-two bytes');
const other = new Secret('what somebody else takes for the secret of the cluster of tests');

function record(id: string, by: Secret): EdgeRecord {
  const said = { id, instance: 'i1', url: `https://${id}.example:8443`, fingerprint: 'AA:BB' };
  return { ...said, region: 'here', load: 0, version: '1', draining: false, proof: edgeProof(by, said) };
}

function strays(directory: MemoryDirectory, edgeId: string, edges: readonly EdgeRecord[]): Strays {
  const edge = (id: string): EdgeRecord | null => edges.find((one) => one.id === id) ?? null;
  return new Strays({ directory, edgeId, edge, secret, failed: () => undefined });
}

t.test('a connection is where it was claimed first', async (t) => {
  const directory = new MemoryDirectory();
  const edges = [record('e1', secret), record('e2', secret)];
  const [first, second] = [strays(directory, 'e1', edges), strays(directory, 'e2', edges)];
  t.equal(await first.find('s', 'unheard-of', false), 'here', 'nobody has it');
  t.equal(await first.find('s', 'c', true), 'here');
  t.match(await second.find('s', 'c', true), {
    at: { host: 'e1.example', port: 8443 },
    tls: { fingerprint: 'AA:BB' },
    maxBodyBytes: Infinity,
  });
  t.match(await second.find('s', 'c', false), { at: { host: 'e1.example' } });
  t.equal(await second.find('another', 'c', false), 'here', 'a session sees its own');
  edges.shift();
  t.equal(await second.find('s', 'c', false), 'here', 'the edge that had it is gone');
});

t.test('nothing is passed on to an edge that cannot have written its record', async (t) => {
  const directory = new MemoryDirectory();
  const honest = record('e1', secret);
  for (const forged of [record('e1', other), { ...honest, url: 'https://thief.example' }, { ...honest, proof: '' }]) {
    await directory.claimConnection('s', 'c', 'e1');
    t.equal(await strays(directory, 'e2', [forged]).find('s', 'c', false), 'here');
  }
});

t.test('a request that says it was passed on has to prove it', (t) => {
  const head = (headers: Readonly<Record<string, string>>): RequestHead => ({
    method: 'GET',
    path: '/tunnel/v1/poll',
    query: '',
    header: (name) => headers[name] ?? '',
    remoteAddress: '192.0.2.1',
  });
  const edge = strays(new MemoryDirectory(), 'e1', []);
  t.equal(edge.received(head({})), null);
  t.equal(edge.received(head({ 'x-sallyport-forwarder': 'x', 'x-forwarded-for': '198.51.100.1' })), null);
  t.end();
});
