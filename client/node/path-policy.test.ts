import fc from 'fast-check';
import t from 'tap';
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { PathPolicy, defaultClimb, silence } from './path-policy.ts';

const { settleMs, retryMs, limitMs, maxTries, firstPenaltyMs, forgiveMs } = defaultClimb;

/** Both paths are checked; those named are valid from 0 on. */
function policyWith(...valid: readonly ('udp' | 'ws')[]): PathPolicy {
  const policy = new PathPolicy();
  policy.checking('udp', 'udp');
  policy.checking('ws', 'websocket');
  for (const id of valid) policy.validated(id, 0);
  return policy;
}

function nominate(policy: PathPolicy, pathId: string, now = 0): void {
  policy.nominationBegan(pathId);
  policy.nominated(pathId, now);
}

/** What it decides when something still comes on these paths. */
function decideAt(policy: PathPolicy, now: number, ...heard: readonly string[]): ReturnType<PathPolicy['decide']> {
  for (const id of heard) policy.heard(id, now);
  return policy.decide(now);
}

t.test('the first path: UDP at once, the tunnel when UDP does not answer soon', (t) => {
  t.same(policyWith('udp').decide(0), { type: 'nominate', pathId: 'udp', reason: 'joined' });
  t.same(policyWith('ws', 'udp').decide(0), { type: 'nominate', pathId: 'udp', reason: 'joined' });
  const policy = policyWith('ws');
  t.equal(policy.decide(0), null);
  t.equal(policy.nextTimeout(0), settleMs);
  t.same(policy.decide(settleMs), { type: 'nominate', pathId: 'ws', reason: 'joined' });
  t.end();
});

t.test('nothing better is being checked: no waiting', (t) => {
  const policy = policyWith('ws');
  policy.failed('udp', 0);
  t.same(policy.decide(0), { type: 'nominate', pathId: 'ws', reason: 'joined' });
  t.equal(new PathPolicy().decide(0), null);
  t.equal(new PathPolicy().nextTimeout(0), null);
  t.end();
});

t.test('it climbs when the better rung is proven, and not before', (t) => {
  const policy = policyWith('ws');
  nominate(policy, 'ws');
  policy.validated('udp', 1000);
  t.same(decideAt(policy, 1000, 'ws'), { type: 'prove', pathId: 'udp' }, 'one lucky reply proves nothing');
  t.equal(decideAt(policy, 1020, 'ws', 'udp'), null, 'once');
  t.equal(decideAt(policy, 3900, 'ws', 'udp'), null);
  policy.proved('udp', true, 4000);
  t.same(decideAt(policy, 4000, 'ws', 'udp'), { type: 'nominate', pathId: 'udp', reason: 'better-rung-proven' });
  t.end();
});

t.test('a proof that fails is tried again a minute later, or when the network changes', (t) => {
  const policy = policyWith('ws', 'udp');
  nominate(policy, 'ws');
  t.match(decideAt(policy, 0, 'ws'), { type: 'prove' });
  policy.proved('udp', false, 3000);
  t.ok(policy.isPenalised('udp', 3000));
  t.equal(decideAt(policy, 3000, 'ws', 'udp'), null);
  t.equal(decideAt(policy, 2999 + retryMs, 'ws', 'udp'), null);
  t.same(decideAt(policy, 3000 + retryMs, 'ws', 'udp'), { type: 'prove', pathId: 'udp' });
  policy.proved('udp', false, 70_000);
  policy.retry();
  t.same(decideAt(policy, 70_100, 'ws', 'udp'), { type: 'prove', pathId: 'udp' });
  policy.proved('udp', false, 71_000);
  policy.retry();
  t.equal(decideAt(policy, 71_000, 'ws', 'udp'), null, 'twice a minute at most');
  t.same(decideAt(policy, 3000 + retryMs + limitMs, 'ws', 'udp'), { type: 'prove', pathId: 'udp' });
  t.end();
});

t.test('a still better rung takes over a proof under way; one that is not heard of is not tried', (t) => {
  const policy = policyWith('ws');
  policy.checking('tcp', 'ice-tcp');
  policy.checking('relay', 'turn-udp');
  nominate(policy, 'ws');
  policy.validated('tcp', 100);
  t.same(decideAt(policy, 100, 'ws'), { type: 'prove', pathId: 'tcp' });
  policy.validated('relay', 200);
  t.same(decideAt(policy, 200, 'ws'), { type: 'prove', pathId: 'relay' });
  policy.proved('relay', false, 1000);
  t.same(decideAt(policy, 1000, 'ws'), { type: 'prove', pathId: 'tcp' });
  policy.failed('tcp', 2000);
  t.equal(decideAt(policy, 100_000, 'ws'), null, 'relay was not heard for long');
  t.end();
});

t.test('silence: asked for a sign of life, then left for another path, and not climbed back to at once', (t) => {
  const policy = policyWith('ws', 'udp');
  nominate(policy, 'udp');
  for (let now = 10; now <= 5000; now += 20) policy.heard('udp', now);
  policy.heard('ws', 4000);
  const { probeAfterMs, failAfterMs } = silence.lively;
  const last = 4990;
  t.equal(policy.decide(last), null);
  t.equal(policy.nextTimeout(last), last + probeAfterMs);
  t.same(policy.decide(last + probeAfterMs), { type: 'probe', pathId: 'udp' });
  t.equal(policy.decide(last + probeAfterMs), null, 'once');
  const failedAt = last + failAfterMs;
  t.same(policy.decide(failedAt), { type: 'nominate', pathId: 'ws', reason: 'rung-failed' });
  nominate(policy, 'ws', failedAt);
  t.equal(decideAt(policy, failedAt + firstPenaltyMs - 1, 'ws', 'udp'), null);
  t.equal(policy.nextTimeout(failedAt + firstPenaltyMs - 1), failedAt + firstPenaltyMs);
  t.same(decideAt(policy, failedAt + firstPenaltyMs, 'ws', 'udp'), { type: 'prove', pathId: 'udp' });
  t.end();
});

t.test('evidence: down to the best of the worse rungs, and each time longer until the next climb', (t) => {
  const policy = policyWith('ws', 'udp');
  policy.checking('tls', 'turn-tls');
  policy.validated('tls', 0);
  nominate(policy, 'tls');
  policy.degraded(10);
  t.match(decideAt(policy, 10, 'tls', 'ws', 'udp'), { pathId: 'ws', reason: 'rung-failed' }, 'UDP is not proven');
  nominate(policy, 'ws', 10);
  policy.failed('tls', 20);
  let now = 1_000_000;
  const waits: number[] = [];
  for (let round = 0; round < 4; round++) {
    policy.proved('udp', true, now);
    nominate(policy, 'udp', now);
    policy.degraded(now + 1000);
    t.match(decideAt(policy, now + 1000, 'ws', 'udp'), { pathId: 'ws', reason: 'rung-failed' });
    nominate(policy, 'ws', now + 1000);
    const began = now + 1000;
    for (now = began; decideAt(policy, now, 'ws', 'udp')?.type !== 'prove'; now += 1000);
    waits.push(now - began);
  }
  t.same(
    waits,
    [1, 2, 4, 8].map((times) => times * firstPenaltyMs),
  );
  policy.proved('udp', true, now);
  nominate(policy, 'udp', now);
  now += forgiveMs;
  policy.degraded(now);
  t.match(decideAt(policy, now, 'ws', 'udp'), { pathId: 'ws' });
  t.notOk(policy.isPenalised('udp', now + firstPenaltyMs), 'a rung that held is forgiven');
  t.end();
});

t.test('evidence where there is nothing else: it stays, until something comes soon', (t) => {
  const policy = policyWith('udp');
  policy.failed('ws', 0);
  nominate(policy, 'udp');
  policy.degraded(100);
  t.equal(decideAt(policy, 100, 'udp'), null);
  policy.checking('tls', 'turn-tls');
  policy.validated('tls', 3000);
  t.match(decideAt(policy, 3000, 'udp'), { pathId: 'tls', reason: 'rung-failed' });
  const late = policyWith('udp');
  nominate(late, 'udp');
  late.degraded(100);
  late.validated('ws', 20_000);
  t.equal(decideAt(late, 20_000, 'udp'), null, 'old evidence says nothing');
  t.end();
});

t.test('a known network: the rung that it needed waits for no other', (t) => {
  const policy = policyWith('ws');
  policy.remember('websocket');
  t.match(policy.decide(0), { pathId: 'ws', reason: 'joined' });
  const other = policyWith('ws');
  other.remember('turn-tls');
  t.equal(other.decide(0), null, 'the tunnel is worse than that');
  t.end();
});

t.test('silence where nothing is expected is borne longer', (t) => {
  const policy = policyWith('ws', 'udp');
  nominate(policy, 'udp');
  policy.heard('udp', 5000);
  t.equal(policy.decide(5000 + silence.lively.failAfterMs), null);
  t.match(policy.decide(5000 + silence.idle.probeAfterMs), { type: 'probe' });
  t.end();
});

t.test('a failed path is replaced at once by any valid one, or by the first that comes', (t) => {
  const policy = policyWith('ws', 'udp');
  nominate(policy, 'udp');
  policy.failed('udp', 100);
  t.same(policy.decide(100), { type: 'nominate', pathId: 'ws', reason: 'rung-failed' });
  nominate(policy, 'ws');
  policy.failed('ws', 200);
  t.equal(policy.decide(200), null);
  policy.checking('ws2', 'websocket');
  policy.validated('ws2', 300);
  t.same(policy.decide(300), { type: 'nominate', pathId: 'ws2', reason: 'rung-failed' });
  t.end();
});

t.test('a pinned rung is gone to and stayed at, until it fails', (t) => {
  const policy = policyWith('ws', 'udp');
  nominate(policy, 'udp');
  policy.pin('websocket');
  t.same(policy.decide(10), { type: 'nominate', pathId: 'ws', reason: 'requested' });
  t.ok(policy.isValid('websocket'));
  policy.nominationBegan('ws');
  t.equal(policy.decide(10), null, 'one nomination at a time');
  t.ok(policy.busy);
  t.equal(policy.nextTimeout(10), null);
  policy.nominated('ws', 10);
  for (let now = 100; now <= 5000; now += 100) {
    policy.heard('ws', now);
    policy.heard('udp', now);
  }
  policy.proved('udp', true, 4900);
  t.equal(policy.decide(5000), null, 'UDP is proven, but not wanted');
  policy.failed('ws', 5000);
  t.equal(policy.pinned, null);
  t.match(policy.decide(5000), { pathId: 'udp', reason: 'rung-failed' });
  t.end();
});

t.test('on the way to a pinned rung that is still being opened, it stays where it is', (t) => {
  const policy = policyWith('ws', 'udp');
  nominate(policy, 'ws');
  policy.pin('turn-tls');
  policy.proved('udp', true, 3000);
  policy.heard('ws', 3000);
  t.equal(policy.decide(3000), null, 'UDP is proven');
  policy.checking('tls', 'turn-tls');
  t.ok(policy.hasHope('turn-tls'));
  t.notOk(policy.isValid('turn-tls'));
  policy.validated('tls', 3100);
  t.same(policy.decide(3100), { type: 'nominate', pathId: 'tls', reason: 'requested' });
  t.end();
});

t.test('a nomination that fails lets the next one go', (t) => {
  const policy = policyWith('ws', 'udp');
  policy.nominationBegan('udp');
  policy.failed('udp', 7000);
  t.match(policy.decide(7000), { pathId: 'ws', reason: 'joined' });
  t.end();
});

t.test('whatever happens: one proof at a time, of a better path, and few; steps down are never held up', (t) => {
  const ids = ['udp', 'relay', 'tcp', 'ws'] as const;
  const rungOf: Readonly<Record<string, Rung>> = { udp: 'udp', relay: 'turn-udp', tcp: 'ice-tcp', ws: 'websocket' };
  const id = fc.constantFrom(...ids);
  const step = fc.oneof(
    fc.record({ do: fc.constant('run' as const), ms: fc.nat(20_000), loss: fc.subarray([...ids]) }),
    fc.record({ do: fc.constantFrom('validate' as const, 'fail' as const), id }),
    fc.record({ do: fc.constantFrom('degraded' as const, 'retry' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const policy = new PathPolicy();
      const valid = new Set<string>();
      const tries: number[] = [];
      let [now, nominated, proving, doneAt] = [0, null as string | null, null as string | null, 0];
      const rank = (of: string): number => rungs.indexOf(rungOf[of] as Rung);
      const act = (loss: readonly string[]): void => {
        if (proving !== null && now >= doneAt) {
          policy.proved(proving, !loss.includes(proving), now);
          proving = null;
        }
        for (let decision = policy.decide(now); decision !== null; decision = policy.decide(now)) {
          const { type, pathId } = decision;
          if (!valid.has(pathId)) throw new Error('a path that is not valid');
          if (type === 'probe') continue;
          if (type === 'prove') {
            if (nominated === null || rank(pathId) >= rank(nominated)) throw new Error('a worse path is proven');
            if (proving === null) tries.push(now);
            else if (rank(pathId) >= rank(proving)) throw new Error('given up for a worse one');
            proving = pathId;
            doneAt = now + 3000;
            continue;
          }
          if (decision.reason === 'better-rung-proven' && proving !== null && rank(proving) <= rank(pathId)) {
            throw new Error('not waited for');
          }
          nominated = pathId;
          nominate(policy, pathId, now);
        }
        const recent = tries.filter((at) => at > now - limitMs);
        if (recent.length > maxTries) throw new Error('too many tries');
      };
      for (const s of steps) {
        if (s.do === 'run') {
          for (const end = now + s.ms; now < end; now += 250) {
            for (const each of valid) policy.heard(each, now);
            act(s.loss);
          }
        } else if (s.do === 'validate') {
          if (valid.has(s.id)) continue;
          policy.checking(s.id, rungOf[s.id] as Rung);
          policy.validated(s.id, now);
          valid.add(s.id);
        } else if (s.do === 'fail') {
          policy.failed(s.id, now);
          valid.delete(s.id);
          if (nominated === s.id) nominated = null;
          if (proving === s.id) proving = null;
        } else if (s.do === 'retry') policy.retry();
        else if (nominated !== null) {
          policy.degraded(now);
          const before = nominated;
          act([]);
          if (valid.size > 1 && nominated === before) throw new Error('held up');
        }
        act([]);
        if (valid.size > 0 && nominated === null && now > settleMs) throw new Error('nothing carries media');
        now += 100;
      }
    }),
    { numRuns: 500 },
  );
  t.pass();
  t.end();
});
