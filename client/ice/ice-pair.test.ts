/** The client's agent against the SFU's, both real, over links that misbehave. */
import fc from 'fast-check';
import t from 'tap';
import {
  addFingerprint,
  addMessageIntegrity,
  NOMINATION,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunMethod,
} from '../../tunnel-protocol/index.ts';
import { hmacSha1, VirtualPair } from './testing/virtual-pair.ts';

const minute = 60_000;

t.test('checks, validates, measures and nominates', (t) => {
  const pair = new VirtualPair();
  pair.link('udp', { delayMs: 15 });
  pair.link('ws', { kind: 'websocket', delayMs: 40 });
  t.equal(pair.client.nextTimeout(), null, 'nothing to do before the answer');
  t.notOk(pair.client.nominate('udp', pair.now));
  pair.signal();
  pair.run(200);
  t.same(pair.clientEvents, ['validated udp', 'validated ws']);
  t.same(pair.roundTrips.get('udp'), [30]);
  t.same(pair.roundTrips.get('ws'), [80]);
  t.equal(pair.serverNominated, null);
  t.ok(pair.client.nominate('udp', pair.now));
  pair.run(100);
  t.equal(pair.client.nominated, 'udp');
  t.equal(pair.serverNominated, 'udp');
  t.same(pair.clientEvents.slice(2), ['nominated udp <- none']);
  t.same(pair.serverEvents, ['validated udp', 'validated ws', 'nominated udp <- none']);
  t.end();
});

t.test('a nomination may be the first check of a path', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  pair.link('udp');
  t.ok(pair.client.nominate('udp', pair.now));
  pair.run(20);
  t.same(pair.clientEvents, ['validated udp', 'nominated udp <- none']);
  t.equal(pair.serverNominated, 'udp');
  t.end();
});

t.test('the path changes to and fro by nomination, and both stay valid', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  pair.link('udp');
  pair.link('ws', { kind: 'websocket', delayMs: 60 });
  pair.run(500);
  for (let round = 0; round < 20; round++) {
    for (const id of ['udp', 'ws']) {
      pair.client.nominate(id, pair.now);
      pair.run(3000);
      t.equal(pair.client.nominated, id);
      t.equal(pair.serverNominated, id);
      t.ok(pair.serverHas('udp') && pair.serverHas('ws'));
      t.same([pair.client.pathState('udp'), pair.client.pathState('ws')], ['valid', 'valid']);
    }
  }
  t.equal(pair.counters.staleNominations, 0);
  t.equal(pair.counters.pathsValidated, 2);
  t.end();
});

t.test('consent is kept for ten minutes, by checks every 4 to 6 s', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  pair.link('udp');
  pair.run(10 * minute);
  t.same(pair.clientEvents, ['validated udp']);
  t.ok(pair.serverHas('udp'));
  const gaps = pair.sent.slice(1).map(({ at }, i) => at - (pair.sent[i]?.at ?? 0));
  t.ok(gaps.every((gap) => gap >= 4000 && gap <= 6000));
  t.ok(new Set(gaps).size > 20, 'the intervals differ');
  t.end();
});

t.test('loss, reordering and duplication delay, but confuse nobody', (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const pair = new VirtualPair(seed);
    const bad = { loss: 0.2, duplication: 0.25, jitterMs: 300 };
    pair.link('udp', bad);
    pair.link('ws', { kind: 'websocket', ...bad });
    pair.signal();
    pair.run(10_000);
    t.same([pair.client.pathState('udp'), pair.client.pathState('ws')], ['valid', 'valid'], `seed ${String(seed)}`);
    for (let change = 0; change < 12; change++) {
      const id = change % 2 === 0 ? 'udp' : 'ws';
      pair.client.nominate(id, pair.now);
      // As long as a nomination is repeated.
      pair.run(13_000);
      t.equal(pair.client.nominated, id, `seed ${String(seed)}, change ${String(change)}`);
      t.equal(pair.serverNominated, id, `seed ${String(seed)}, change ${String(change)}`);
    }
    t.notOk(pair.clientEvents.some((event) => event.startsWith('failed') || event.startsWith('nomination-failed')));
    t.notOk(pair.serverEvents.includes('consent-lost'));
    t.equal(pair.client.counters.badIntegrity + pair.counters.badIntegrity + pair.counters.malformed, 0);
  }
  t.end();
});

t.test('a nomination held up on a stalled path does not flip the choice back', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  const stalled = pair.link('ws', { kind: 'websocket' });
  pair.link('udp');
  pair.run(100);
  stalled.delayMs = 4000;
  pair.client.nominate('ws', pair.now);
  pair.run(50);
  pair.client.nominate('udp', pair.now);
  pair.run(50);
  t.equal(pair.serverNominated, 'udp');
  pair.run(20_000);
  t.ok(pair.counters.staleNominations > 0, 'it did arrive');
  t.equal(pair.serverNominated, 'udp');
  t.equal(pair.client.nominated, 'udp');
  t.same(pair.clientEvents.slice(2), ['nominated udp <- none']);
  t.end();
});

t.test('a path that dies loses consent on both sides after 30 s; the others go on', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  const udp = pair.link('udp');
  pair.link('ws', { kind: 'websocket' });
  pair.run(100);
  pair.client.nominate('udp', pair.now);
  pair.run(10_000);
  udp.up = false;
  pair.run(24_000);
  t.equal(pair.client.pathState('udp'), 'valid');
  pair.run(9000);
  t.equal(pair.client.pathState('udp'), 'failed');
  t.equal(pair.client.nominated, null);
  t.notOk(pair.serverHas('udp'));
  t.equal(pair.serverNominated, 'ws', 'the server falls back by itself');
  t.same(pair.clientEvents.slice(3), ['failed udp consent-lost']);
  t.notOk(pair.client.nominate('udp', pair.now), 'a failed path cannot be nominated');
  pair.client.nominate('ws', pair.now);
  pair.run(100);
  t.equal(pair.client.nominated, 'ws');
  udp.up = true;
  pair.run(minute);
  t.equal(pair.client.pathState('udp'), 'failed', 'it is not checked any more');
  pair.client.addPath('udp', 'udp', pair.now);
  pair.client.nominate('udp', pair.now);
  pair.run(100);
  t.equal(pair.client.pathState('udp'), 'valid');
  t.equal(pair.serverNominated, 'udp');
  t.end();
});

t.test('when every path dies both sides know, and both come back', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  const udp = pair.link('udp');
  pair.client.nominate('udp', pair.now);
  pair.run(1000);
  udp.up = false;
  pair.run(40_000);
  t.same(pair.serverEvents.slice(2), ['consent-lost']);
  t.equal(pair.serverNominated, null);
  t.same(pair.clientEvents.slice(2), ['failed udp consent-lost']);
  t.equal(pair.client.nextTimeout(), null, 'nothing left to do');
  udp.up = true;
  pair.client.addPath('udp', 'udp', pair.now);
  pair.run(100);
  pair.client.nominate('udp', pair.now);
  pair.run(100);
  t.equal(pair.serverNominated, 'udp');
  t.equal(pair.client.nominated, 'udp');
  t.end();
});

t.test('a path that never opens fails within 15 s; one that opens late does not', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  pair.link('never', { up: false });
  const late = pair.link('late', { up: false });
  pair.run(6000);
  late.up = true;
  pair.run(3000);
  t.equal(pair.client.pathState('late'), 'valid');
  t.equal(pair.roundTrips.get('late'), undefined, 'a repeated check measures nothing');
  pair.run(6000);
  t.same(pair.clientEvents, ['validated late', 'failed never unanswered']);
  t.end();
});

t.test('a nomination without an answer is reported', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  const udp = pair.link('udp');
  pair.link('ws', { kind: 'websocket' });
  pair.client.nominate('ws', pair.now);
  pair.run(1000);
  udp.up = false;
  pair.client.nominate('udp', pair.now);
  pair.run(15_000);
  t.equal(pair.clientEvents.at(-1), 'nomination-failed udp');
  t.equal(pair.client.nominated, 'ws');
  t.equal(pair.serverNominated, 'ws');
  t.end();
});

t.test('a restart: media goes on with the old credentials until the new ones nominate', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  pair.link('udp');
  pair.client.nominate('udp', pair.now);
  pair.run(1000);
  const old = pair.agent.local;
  pair.client.restart();
  pair.agent.restart();
  pair.agent.setRemote(pair.client.local);
  // The answer takes its time: consent goes on with what both still have.
  pair.run(minute);
  t.equal(pair.client.pathState('udp'), 'valid');
  t.equal(pair.serverNominated, 'udp');
  pair.client.setRemote(pair.agent.local, pair.now);
  pair.link('ws', { kind: 'websocket' });
  pair.run(200);
  t.same(pair.clientEvents.slice(2), ['validated udp', 'validated ws']);
  t.equal(pair.client.nominated, 'udp');
  pair.client.nominate('ws', pair.now);
  pair.run(200);
  t.equal(pair.serverNominated, 'ws');
  t.same(pair.agent.local.ufrag === old.ufrag, false);
  t.equal(pair.counters.unknownUfrag, 0);
  pair.inject('udp', signed(`${old.ufrag}:x`, old.pwd, 99));
  t.equal(pair.counters.unknownUfrag, 1, 'the old credentials are gone');
  pair.run(2 * minute);
  t.same([pair.client.pathState('udp'), pair.client.pathState('ws')], ['valid', 'valid']);
  t.equal(pair.serverNominated, 'ws');
  t.end();
});

t.test('a restart takes up failed paths and a nomination under way', (t) => {
  const pair = new VirtualPair();
  pair.signal();
  const udp = pair.link('udp', { up: false });
  const ws = pair.link('ws', { kind: 'websocket' });
  pair.run(20_000);
  t.equal(pair.client.pathState('udp'), 'failed');
  ws.up = false;
  pair.client.nominate('ws', pair.now);
  pair.run(500);
  pair.client.restart();
  pair.agent.restart();
  udp.up = true;
  ws.up = true;
  pair.signal();
  pair.run(500);
  t.equal(pair.client.pathState('udp'), 'valid');
  t.equal(pair.client.nominated, 'ws');
  t.equal(pair.serverNominated, 'ws');
  t.end();
});

function signed(username: string, password: string, nomination: number): Uint8Array {
  const builder = new StunBuilder(stunClass.request, stunMethod.Binding, new Uint8Array(12).fill(nomination));
  builder.text(stunAttribute.USERNAME, username).flag(stunAttribute.USE_CANDIDATE).u32(NOMINATION, nomination);
  addMessageIntegrity(builder, new TextEncoder().encode(password), hmacSha1);
  addFingerprint(builder);
  return builder.take();
}

t.test("a stranger's USE-CANDIDATE, forged or unsigned, is refused during a call", (t) => {
  const pair = new VirtualPair();
  pair.signal();
  pair.link('udp');
  pair.link('stranger');
  pair.client.removePath('stranger');
  pair.client.nominate('udp', pair.now);
  pair.run(1000);
  const username = `${pair.agent.local.ufrag}:${pair.client.local.ufrag}`;
  const unsigned = new StunBuilder(stunClass.request, stunMethod.Binding, new Uint8Array(12));
  unsigned.text(stunAttribute.USERNAME, username).flag(stunAttribute.USE_CANDIDATE).u32(NOMINATION, 100);
  for (const id of ['stranger', 'udp']) {
    pair.inject(id, unsigned.take());
    pair.inject(id, signed(username, 'not the password, by far', 100));
  }
  t.equal(pair.counters.missingIntegrity, 2);
  t.equal(pair.counters.badIntegrity, 2);
  t.notOk(pair.serverHas('stranger'));
  t.equal(pair.serverNominated, 'udp');
  pair.run(minute);
  t.equal(pair.serverNominated, 'udp');
  t.same(pair.serverEvents, ['validated udp', 'nominated udp <- none']);
  t.end();
});

t.test('whatever happened before: once the links are well, a nomination settles it', (t) => {
  const ids = ['a', 'b', 'c'];
  const id = fc.constantFrom(...ids);
  const step = fc.oneof(
    fc.record({ do: fc.constant('run' as const), ms: fc.nat(12_000) }),
    fc.record({ do: fc.constant('nominate' as const), id }),
    fc.record({ do: fc.constant('add' as const), id }),
    fc.record({ do: fc.constant('remove' as const), id }),
    fc.record({ do: fc.constant('restart' as const) }),
    fc.record({
      do: fc.constant('link' as const),
      id,
      up: fc.boolean(),
      loss: fc.double({ min: 0, max: 0.9, noNaN: true }),
    }),
    fc.record({ do: fc.constant('stall' as const), id, delayMs: fc.nat(5000), jitterMs: fc.nat(2000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(), id, (steps, seed, last) => {
      const pair = new VirtualPair(seed);
      for (const each of ids) pair.link(each);
      pair.signal();
      for (const s of steps) {
        const link = 'id' in s ? pair.links.get(s.id) : undefined;
        if (s.do === 'run') pair.run(s.ms);
        if (s.do === 'nominate') pair.client.nominate(s.id, pair.now);
        if (s.do === 'add') pair.client.addPath(s.id, 'udp', pair.now);
        if (s.do === 'remove') pair.client.removePath(s.id);
        if (s.do === 'link' && link) Object.assign(link, { up: s.up, loss: s.loss, duplication: s.loss });
        if (s.do === 'stall' && link) Object.assign(link, { delayMs: s.delayMs, jitterMs: s.jitterMs });
        if (s.do === 'restart') {
          pair.client.restart();
          pair.agent.restart();
          pair.signal();
        }
      }
      for (const link of pair.links.values()) Object.assign(link, { up: true, loss: 0, delayMs: 10, jitterMs: 0 });
      pair.client.addPath(last, 'udp', pair.now);
      if (!pair.client.nominate(last, pair.now)) throw new Error('refused');
      // Long enough for everything that was held up to arrive and be refused.
      pair.run(20_000);
      if (pair.client.nominated !== last) throw new Error(`client ${String(pair.client.nominated)}`);
      if (pair.serverNominated !== last) throw new Error(`server ${String(pair.serverNominated)}`);
    }),
    { numRuns: 150 },
  );
  t.end();
});
