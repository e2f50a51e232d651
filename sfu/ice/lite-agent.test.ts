import fc from 'fast-check';
import t from 'tap';
import { stunClass } from '../../tunnel-protocol/index.ts';
import { consentMs, flipBackHoldMs, maxPathsPerAgent } from './lite-agent.ts';
import { check, liteUnderTest, peer, TestPath } from './testing/ice-test-kit.ts';
import type { IceCredentials } from '../../tunnel-protocol/index.ts';
import type { LiteUnderTest } from './testing/ice-test-kit.ts';

const counting = (under: LiteUnderTest, path: TestPath, nomination: number, now = 0, to = under.agent.local): void => {
  under.ice.receive(path, check({ from: peer, to, useCandidate: true, nomination }), now);
};
const plain = (under: LiteUnderTest, path: TestPath, now: number, to = under.agent.local): void => {
  under.ice.receive(path, check({ from: peer, to, useCandidate: true }), now);
};
const keep = (under: LiteUnderTest, path: TestPath, now: number, to = under.agent.local): void => {
  under.ice.receive(path, check({ from: peer, to }), now);
};

t.test('of counted nominations the highest wins; a late lower or equal one is answered but not followed', (t) => {
  const under = liteUnderTest();
  const [a, b] = [new TestPath(1), new TestPath(2)];
  counting(under, a, 1);
  counting(under, b, 2);
  t.equal(under.agent.nominated, b);
  t.equal(a.answer()?.messageClass, stunClass.success);
  for (const late of [1, 0, 2]) {
    counting(under, a, late);
    t.equal(under.agent.nominated, b, `counter ${String(late)}`);
    t.equal(a.answer()?.messageClass, stunClass.success);
  }
  counting(under, b, 2);
  plain(under, a, 60_000);
  t.equal(under.agent.nominated, b, 'none without a counter either, once the peer counts');
  counting(under, a, 0xffffffff, 60_000);
  t.equal(under.agent.nominated, a);
  t.ok(a.bound && b.bound, 'both stay valid');
  t.same(under.events, ['validated 1', 'nominated 1 <- none', 'validated 2', 'nominated 2 <- 1', 'nominated 1 <- 2']);
  t.equal(under.counters.nominations, 3);
  t.equal(under.counters.staleNominations, 4);
  t.end();
});

t.test('NOMINATION nominates also where it comes instead of USE-CANDIDATE', (t) => {
  const under = liteUnderTest();
  const a = new TestPath(1);
  under.ice.receive(a, check({ from: peer, to: under.agent.local, nomination: 3 }), 0);
  t.equal(under.agent.nominated, a);
  t.end();
});

t.test('a malformed NOMINATION nominates nothing', (t) => {
  const under = liteUnderTest();
  const a = new TestPath(1);
  const bytes = check({
    from: peer,
    to: under.agent.local,
    useCandidate: true,
    extra: (builder) => builder.attribute(0xc001, new Uint8Array(3)),
  });
  under.ice.receive(a, bytes, 0);
  t.equal(under.agent.nominated, null);
  t.equal(under.counters.answered, 1);
  t.end();
});

t.test('without counters the last USE-CANDIDATE wins, but late ones of the path just left do not', (t) => {
  const under = liteUnderTest();
  const [a, b] = [new TestPath(1), new TestPath(2)];
  plain(under, a, 0);
  plain(under, b, 5000);
  t.equal(under.agent.nominated, b);
  for (const late of [0, 10, flipBackHoldMs - 1]) plain(under, a, 5000 + late);
  t.equal(under.agent.nominated, b, 'a burst from a stalled path is outlived');
  t.equal(under.counters.staleNominations, 3);
  plain(under, a, 5000 + flipBackHoldMs);
  t.equal(under.agent.nominated, a, 'a peer that means it repeats itself');
  t.end();
});

t.test('consent: a path that is silent for 30 s is unbound', (t) => {
  const under = liteUnderTest();
  const [a, b, c] = [new TestPath(1), new TestPath(2), new TestPath(3)];
  keep(under, c, 0);
  keep(under, b, 0);
  counting(under, a, 1);
  keep(under, c, 100);
  keep(under, b, 200);
  under.ice.tick(consentMs - 1);
  t.ok(a.bound);
  under.ice.tick(consentMs);
  t.notOk(a.bound);
  t.equal(a.owner, null);
  t.equal(under.agent.nominated, b, 'of the valid ones, the one heard last');
  under.ice.tick(consentMs + 200);
  t.equal(under.agent.nominated, null);
  under.ice.tick(consentMs + 10_000);
  t.same(under.events, [
    'validated 3',
    'validated 2',
    'validated 1',
    'nominated 1 <- none',
    'nominated 2 <- 1',
    'consent-lost',
  ]);
  t.equal(under.counters.pathsExpired, 3);
  t.equal(under.counters.consentLost, 1);
  keep(under, c, 50_000);
  t.ok(c.bound, 'a later check brings the path back');
  counting(under, a, 1, 50_000);
  t.equal(under.agent.nominated, null, 'but an old nomination stays old');
  counting(under, a, 2, 50_000);
  t.equal(under.agent.nominated, a);
  t.end();
});

t.test('only authentic requests renew consent', (t) => {
  const under = liteUnderTest();
  const a = new TestPath(1);
  counting(under, a, 1);
  under.ice.receive(a, check({ from: peer, to: under.agent.local, unsigned: true }), 20_000);
  under.ice.receive(a, check({ from: peer, to: under.agent.local, controlled: true }), 20_000);
  under.ice.tick(consentMs);
  t.notOk(a.bound);
  t.end();
});

t.test('a restart: old and new credentials serve until the new ones nominate', (t) => {
  const under = liteUnderTest();
  const [a, b] = [new TestPath(1), new TestPath(2)];
  const old = under.agent.local;
  counting(under, a, 5);
  const fresh = under.agent.restart();
  const peerAgain: IceCredentials = { ufrag: 'again', pwd: 'another-password-of-peer' };
  under.agent.setRemote(peerAgain);
  t.same(under.agent.local, fresh);
  t.not(fresh.ufrag, old.ufrag);
  keep(under, a, 10, old);
  t.equal(a.answer()?.messageClass, stunClass.success, 'old credentials still serve');
  t.equal(under.agent.nominated, a);
  under.ice.receive(b, check({ from: peer, to: fresh }), 20);
  t.equal(under.counters.wrongRemoteUfrag, 1, 'the new generation has a new peer ufrag');
  under.ice.receive(b, check({ from: peerAgain, to: fresh }), 20);
  t.ok(b.bound);
  keep(under, a, 30, old);
  t.equal(under.counters.unknownUfrag, 0);
  under.ice.receive(b, check({ from: peerAgain, to: fresh, useCandidate: true, nomination: 1 }), 40);
  t.equal(under.agent.nominated, b, 'counters begin anew with the generation');
  counting(under, a, 9, 50, old);
  t.equal(under.agent.nominated, b);
  t.equal(under.counters.unknownUfrag, 1, 'the old credentials are gone');
  t.ok(a.bound, 'the old path stays valid for what is on its way');
  t.end();
});

t.test('a restart that nominates the same path, at once, without a counter', (t) => {
  const under = liteUnderTest();
  const [a, b] = [new TestPath(1), new TestPath(2)];
  const old = under.agent.local;
  plain(under, a, 0);
  plain(under, b, 10);
  under.agent.restart();
  plain(under, a, 20);
  t.equal(under.agent.nominated, a, 'the hold is for old generations only');
  keep(under, a, 30, old);
  t.equal(under.counters.unknownUfrag, 1);
  t.end();
});

t.test('a second restart before the first nominated: the generation that carries media stays', (t) => {
  const under = liteUnderTest();
  const a = new TestPath(1);
  const first = under.agent.local;
  counting(under, a, 1);
  const second = under.agent.restart();
  const third = under.agent.restart();
  keep(under, a, 10, second);
  t.equal(under.counters.unknownUfrag, 1);
  keep(under, a, 10, first);
  keep(under, a, 10, third);
  t.equal(under.counters.unknownUfrag, 1);
  t.end();
});

t.test('too many paths: the one heard longest ago goes, never the nominated one', (t) => {
  const under = liteUnderTest();
  const paths = Array.from({ length: maxPathsPerAgent + 2 }, (_, i) => new TestPath(i));
  const [nominated, oldest] = paths as [TestPath, TestPath];
  counting(under, nominated, 1);
  for (const [i, path] of paths.entries()) if (i > 0) keep(under, path, i);
  t.equal(paths.filter((path) => path.bound).length, maxPathsPerAgent);
  t.ok(nominated.bound);
  t.notOk(oldest.bound);
  t.equal(under.counters.pathsEvicted, 2);
  t.end();
});

t.test('a forgotten path: another valid one takes over, or none', (t) => {
  const under = liteUnderTest();
  const [a, b] = [new TestPath(1), new TestPath(2)];
  keep(under, b, 0);
  counting(under, a, 1);
  under.agent.forget(new TestPath(9));
  under.agent.forget(a);
  t.notOk(a.bound);
  t.equal(under.agent.nominated, b);
  under.agent.forget(b);
  t.equal(under.agent.nominated, null);
  t.same(under.events.slice(3), ['nominated 2 <- 1']);
  t.end();
});

t.test('close lets go of everything', (t) => {
  const under = liteUnderTest();
  const a = new TestPath(1);
  counting(under, a, 1);
  const { local } = under.agent;
  under.agent.close();
  under.agent.close();
  t.notOk(a.bound);
  t.equal(a.owner, null);
  t.equal(under.agent.nominated, null);
  keep(under, a, 1, local);
  t.equal(under.counters.unknownUfrag, 1);
  under.ice.tick(100_000);
  t.equal(under.events.length, 2);
  t.throws(() => under.agent.restart());
  t.end();
});

t.test('event handlers may close the agent or forget the path', (t) => {
  for (const misbehave of ['close', 'forget'] as const) {
    const under = liteUnderTest();
    const a = new TestPath(1);
    const agent = under.ice.createAgent(under.owner, {
      onValidated(path) {
        if (misbehave === 'close') agent.close();
        else agent.forget(path);
      },
      onNominated: () => t.fail('nothing is left to nominate'),
      onConsentLost: () => t.fail('nothing was lost'),
    });
    counting(under, a, 1, 0, agent.local);
    t.notOk(a.bound);
    under.ice.tick(consentMs * 2);
  }
  t.end();
});

t.test('any sequence of events keeps the invariants', (t) => {
  const step = fc.oneof(
    fc.record({
      do: fc.constant('check' as const),
      path: fc.nat(19),
      nomination: fc.option(fc.nat(20)),
      old: fc.boolean(),
    }),
    fc.record({ do: fc.constant('plain' as const), path: fc.nat(19) }),
    fc.record({ do: fc.constant('forget' as const), path: fc.nat(19) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat(20_000) }),
    fc.record({ do: fc.constant('restart' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const under = liteUnderTest();
      const paths = Array.from({ length: 20 }, (_, i) => new TestPath(i));
      let now = 0;
      let old = under.agent.local;
      for (const s of steps) {
        const path = 'path' in s ? (paths[s.path] as TestPath) : null;
        if (s.do === 'wait') now += s.ms;
        if (s.do === 'wait') under.ice.tick(now);
        if (s.do === 'restart') old = under.agent.local;
        if (s.do === 'restart') under.agent.restart();
        if (path !== null && s.do === 'forget') under.agent.forget(path);
        if (path !== null && s.do === 'plain') plain(under, path, now);
        if (path !== null && s.do === 'check') {
          const to = s.old ? old : under.agent.local;
          if (s.nomination === null) keep(under, path, now, to);
          else counting(under, path, s.nomination, now, to);
        }
        const bound = paths.filter((p) => p.bound);
        if (bound.length > maxPathsPerAgent) throw new Error('too many paths');
        for (const p of paths) if (p.bound !== (p.owner === under.owner)) throw new Error('bound and owned differ');
        const { nominated } = under.agent;
        if (nominated !== null && !bound.some((p) => p === nominated)) throw new Error('nominated but not bound');
      }
    }),
    { numRuns: 200 },
  );
  t.end();
});
