import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import t from 'tap';
import {
  decodeStun,
  errorCode,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunMethod,
  unknownAttributes,
  verifyFingerprint,
  verifyMessageIntegrity,
  xorAddress,
} from '../../tunnel-protocol/index.ts';
import { createIceCounters } from './counters.ts';
import { check, hmacSha1, liteUnderTest, peer, TestPath } from './testing/ice-test-kit.ts';
import type { IceCredentials } from '../../tunnel-protocol/index.ts';
import type { IceCounters } from './counters.ts';

const stranger: IceCredentials = { ufrag: 'stranger', pwd: 'password-of-a-stranger' };

/** The counters that are not zero. */
const counted = (counters: IceCounters): object =>
  Object.fromEntries(Object.entries(counters).filter(([, count]) => count !== 0));

t.test('an authentic check is answered, and its path bound and owned', (t) => {
  const { ice, agent, counters, owner, events } = liteUnderTest();
  for (const address of ['192.0.2.1', '2001:db8::1']) {
    const path = new TestPath(4711, address);
    const request = check({ from: peer, to: agent.local });
    ice.receive(path, request, 0);
    const answer = path.answer();
    t.ok(answer);
    if (answer === null) continue;
    t.equal(answer.messageClass, stunClass.success);
    t.same(answer.transactionId, request.subarray(8, 20));
    t.same(xorAddress(answer, stunAttribute.XOR_MAPPED_ADDRESS), { address, port: 4711 });
    t.ok(verifyMessageIntegrity(answer, Buffer.from(agent.local.pwd), hmacSha1));
    t.ok(verifyFingerprint(answer));
    t.equal(path.owner, owner);
    t.ok(path.bound);
  }
  t.same(events, ['validated 4711', 'validated 4711']);
  t.equal(agent.nominated, null, 'a check alone nominates nothing');
  t.same(counted(counters), { answered: 2, pathsValidated: 2 });
  t.end();
});

t.test('what is not authentic is counted, gets no answer and leaves nothing behind', (t) => {
  const { ice, agent, counters, events } = liteUnderTest();
  const to = agent.local;
  const nominating = { useCandidate: true, nomination: 1 };
  const damaged = check({ from: peer, to });
  damaged[30] = (damaged[30] as number) ^ 1;
  const noUsername = new StunBuilder(stunClass.request, stunMethod.Binding, randomBytes(12)).take();
  const indication = new StunBuilder(stunClass.indication, stunMethod.Binding, randomBytes(12)).take();
  const allocate = new StunBuilder(stunClass.request, stunMethod.Allocate, randomBytes(12)).take();
  const success = new StunBuilder(stunClass.success, stunMethod.Binding, randomBytes(12)).take();
  const cases: [keyof IceCounters, string, Uint8Array][] = [
    ['missingIntegrity', 'an unsigned USE-CANDIDATE', check({ from: peer, to, ...nominating, unsigned: true })],
    ['badIntegrity', 'a forged USE-CANDIDATE', check({ from: peer, to: { ...to, pwd: stranger.pwd }, ...nominating })],
    ['badIntegrity', "signed with the peer's own password", check({ from: peer, to: { ...to, pwd: peer.pwd } })],
    ['badIntegrity', 'an empty password', check({ from: peer, to: { ...to, pwd: '' } })],
    ['unknownUfrag', 'for nobody here', check({ from: peer, to: stranger, ...nominating })],
    ['unknownUfrag', 'the local ufrag with a letter more', check({ from: peer, to: { ...to, ufrag: `${to.ufrag}A` } })],
    ['unknownUfrag', 'the name of a property', check({ from: peer, to: { ...to, ufrag: '__proto__' } })],
    ['wrongRemoteUfrag', 'from someone else who knows our password', check({ from: stranger, to, ...nominating })],
    ['badFingerprint', 'damaged on the way', damaged],
    ['missingUsername', 'without a name', noUsername],
    ['ignored', 'an indication', indication],
    ['ignored', 'a TURN request', allocate],
    ['ignored', 'a response', success],
    ['malformed', 'half a message', check({ from: peer, to }).subarray(0, 40)],
  ];
  const wanted = createIceCounters();
  for (const [counter, what, bytes] of cases) {
    const path = new TestPath(1);
    ice.receive(path, bytes, 0);
    wanted[counter]++;
    t.same(counters, wanted, what);
    t.equal(path.answer(), null, what);
    t.notOk(path.bound, what);
    t.equal(path.owner, null, what);
  }
  t.same(events, []);
  t.equal(agent.nominated, null);
  t.end();
});

t.test('attributes behind the signature do not count: a captured check cannot be made a nomination', (t) => {
  const { ice, agent } = liteUnderTest();
  const captured = check({ from: peer, to: agent.local });
  const longer = new Uint8Array(captured.length - 8 + 4);
  longer.set(captured.subarray(0, -8));
  longer.set([0, 0x25, 0, 0], captured.length - 8);
  longer[3] = (longer[3] as number) - 4;
  t.not(typeof decodeStun(longer), 'string');
  ice.receive(new TestPath(1), longer, 0);
  t.equal(agent.nominated, null);
  t.end();
});

t.test('before the answer is processed by the peer, any remote ufrag is taken', (t) => {
  const { ice, counters, owner, events } = liteUnderTest();
  const early = ice.createAgent(owner, {
    onValidated: () => events.push('early'),
    onNominated() {},
    onConsentLost() {},
  });
  ice.receive(new TestPath(1), check({ from: stranger, to: early.local }), 0);
  t.same(events, ['early']);
  t.equal(counters.answered, 1);
  t.end();
});

t.test('487 for a peer that claims to be controlled; it validates nothing', (t) => {
  const { ice, agent, counters, events } = liteUnderTest();
  const path = new TestPath(1);
  ice.receive(path, check({ from: peer, to: agent.local, controlled: true, useCandidate: true }), 0);
  const answer = path.answer();
  t.equal(answer && errorCode(answer)?.code, 487);
  t.ok(answer && verifyMessageIntegrity(answer, Buffer.from(agent.local.pwd), hmacSha1));
  t.notOk(path.bound);
  t.same(events, []);
  t.equal(counters.roleConflicts, 1);
  t.end();
});

t.test('420 for attributes that must be understood and are not', (t) => {
  const { ice, agent, counters } = liteUnderTest();
  const path = new TestPath(1);
  const extra = (builder: StunBuilder): void => {
    builder.flag(0x7001).flag(0xc057).flag(0x7002);
  };
  ice.receive(path, check({ from: peer, to: agent.local, extra }), 0);
  const answer = path.answer();
  t.equal(answer && errorCode(answer)?.code, 420);
  t.same(answer && unknownAttributes(answer), [0x7001, 0x7002]);
  t.notOk(path.bound);
  t.equal(counters.unknownAttributes, 1);
  t.end();
});

t.test('tests of what passes, padded with PADDING, are answered at their own size; never at more', (t) => {
  const { ice, agent } = liteUnderTest();
  const path = new TestPath(1);
  for (const padding of [0, 1, 16, 200, 1000, 1100, 1900]) {
    const extra = (builder: StunBuilder): void => {
      builder.reserve(stunAttribute.PADDING, padding);
    };
    const request = check({ from: peer, to: agent.local, extra });
    ice.receive(path, request, 0);
    const answer = path.answer();
    t.equal(answer?.messageClass, stunClass.success);
    t.equal(answer?.bytes.length, Math.min(request.length, path.mtu), String(padding));
  }
  const plain = check({ from: peer, to: agent.local });
  ice.receive(path, plain, 0);
  t.ok((path.answer()?.bytes.length ?? Infinity) < plain.length);
  t.end();
});

t.test('a path without an IP address is answered too', (t) => {
  const { ice, agent } = liteUnderTest();
  const path = new TestPath(0, '');
  ice.receive(path, check({ from: peer, to: agent.local }), 0);
  t.equal(path.answer()?.messageClass, stunClass.success);
  t.end();
});

t.test('agents on one port are told apart, and nobody takes the path of another', (t) => {
  const { ice, agent, counters, owner } = liteUnderTest();
  const otherOwner = {};
  const other = ice.createAgent(otherOwner, { onValidated() {}, onNominated() {}, onConsentLost() {} });
  other.setRemote(stranger);
  t.not(other.local.ufrag, agent.local.ufrag);
  const path = new TestPath(1);
  ice.receive(path, check({ from: peer, to: agent.local, useCandidate: true }), 0);
  path.sent.length = 0;
  ice.receive(path, check({ from: stranger, to: other.local, useCandidate: true }), 1);
  t.equal(path.owner, owner);
  t.equal(path.sent.length, 0);
  t.equal(other.nominated, null);
  t.equal(counters.foreignPath, 1);
  const own = new TestPath(2);
  ice.receive(own, check({ from: stranger, to: other.local, useCandidate: true }), 1);
  t.equal(own.owner, otherOwner);
  t.equal(other.nominated, own);
  t.equal(agent.nominated, path);
  agent.close();
  ice.receive(path, check({ from: stranger, to: other.local, useCandidate: true }), 5000);
  t.equal(path.owner, otherOwner, 'once let go, it is free');
  t.end();
});

t.test('no bytes throw or nominate, be they random or an authentic check with mutations', (t) => {
  const { ice, agent, counters } = liteUnderTest();
  const path = new TestPath(1);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      ice.receive(path, bytes, 0);
    }),
  );
  const seed = check({ from: peer, to: agent.local, useCandidate: true, nomination: 9 });
  // Up to the end of MESSAGE-INTEGRITY: what follows is not covered, and a FINGERPRINT turned into something else is
  // only an attribute to ignore.
  const mutations = fc.array(fc.record({ at: fc.nat(seed.length - 9), value: fc.nat(255) }), { minLength: 1 });
  fc.assert(
    fc.property(mutations, (list) => {
      const bytes = seed.slice();
      for (const { at, value } of list) bytes[at] = value;
      if (Buffer.compare(bytes, seed) !== 0) ice.receive(path, bytes, 0);
      return agent.nominated === null;
    }),
    { numRuns: 1000 },
  );
  t.equal(counters.answered, 0);
  t.end();
});
