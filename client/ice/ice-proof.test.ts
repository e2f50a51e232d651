/** Proofs between both real ends, over links that lose, delay and reorder. */
import t from 'tap';
import { stunAttribute, stunClass, StunBuilder, stunMethod, addFingerprint } from '../../tunnel-protocol/index.ts';
import { defaultProof } from './path-proof.ts';
import { VirtualPair } from './testing/virtual-pair.ts';

const { datagramBytes } = defaultProof;

/** Proofs so far: `udp proven 0/150`. */
const proofs = (pair: VirtualPair): string[] => pair.clientEvents.filter((event) => event.startsWith('proof'));

function joined(seed = 1): VirtualPair {
  const pair = new VirtualPair(seed);
  pair.signal();
  pair.link('ws', { kind: 'websocket' });
  pair.link('udp');
  pair.run(100);
  pair.client.nominate('ws', pair.now);
  pair.run(100);
  return pair;
}

t.test('a good path is proven, by requests and answers of full size, without a nomination', (t) => {
  const pair = joined();
  const before = pair.sent.length;
  t.ok(pair.client.prove('udp', pair.now));
  pair.run(4000);
  t.same(proofs(pair), ['proof udp proven 0/150']);
  const padded = pair.sent.slice(before).filter(({ bytes }) => bytes > 200);
  t.equal(padded.length, 150);
  t.ok(padded.every(({ pathId, bytes }) => pathId === 'udp' && bytes === datagramBytes));
  t.same(new Set(pair.answered.filter((bytes) => bytes > 200)), new Set([datagramBytes]));
  t.equal(pair.serverNominated, 'ws');
  t.equal(pair.client.counters.badIntegrity + pair.client.counters.malformed, 0);
  t.end();
});

t.test('20 % loss: never proven; a large datagram that does not pass: never', (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const pair = joined(seed);
    const udp = pair.links.get('udp');
    Object.assign(udp ?? {}, { loss: 0.2 });
    pair.client.prove('udp', pair.now);
    pair.run(5000);
    t.match(proofs(pair), [/proof udp unproven/]);
  }
  const pair = joined();
  Object.assign(pair.links.get('udp') ?? {}, { maxBytes: 1000 });
  pair.client.prove('udp', pair.now);
  pair.run(5000);
  t.same(proofs(pair), ['proof udp unproven 4/54']);
  t.equal(pair.client.pathState('udp'), 'valid', 'it may still serve where nothing else does');
  t.end();
});

t.test('a path that reorders and doubles is fine', (t) => {
  const pair = joined();
  Object.assign(pair.links.get('udp') ?? {}, { jitterMs: 100, duplication: 0.2 });
  pair.client.prove('udp', pair.now);
  pair.run(5000);
  t.same(proofs(pair), ['proof udp proven 0/150']);
  t.end();
});

t.test('a path that goes away during its proof: no event but that; another proof takes the place of the first', (t) => {
  const pair = joined();
  pair.client.prove('udp', pair.now);
  pair.run(500);
  pair.client.removePath('udp');
  pair.run(5000);
  t.same(proofs(pair), []);
  pair.link('tcp', { kind: 'ice-tcp' });
  pair.link('udp');
  pair.run(200);
  pair.client.prove('tcp', pair.now);
  pair.run(1000);
  pair.client.prove('udp', pair.now);
  pair.run(5000);
  t.same(proofs(pair), ['proof udp proven 0/150']);
  t.notOk(pair.client.prove('nowhere', pair.now));
  t.end();
});

t.test('nobody gets an answer to a padded request that is not signed', (t) => {
  const pair = joined();
  const sizes = pair.answered.length;
  for (const bytes of [40, 400, 1200, 1400, 1900]) {
    const builder = new StunBuilder(stunClass.request, stunMethod.Binding, new Uint8Array(12).fill(bytes & 0xff));
    builder.text(stunAttribute.USERNAME, `${pair.agent.local.ufrag}:${pair.client.local.ufrag}`);
    builder.reserve(stunAttribute.PADDING, bytes);
    addFingerprint(builder);
    pair.inject('udp', builder.take());
  }
  pair.run(100);
  t.equal(pair.answered.length, sizes);
  t.equal(pair.counters.missingIntegrity, 5);
  t.end();
});
