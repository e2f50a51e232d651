import t from 'tap';
import { PathPolicy, provenMs, settleMs, silence } from './path-policy.ts';

/** Both paths are checked; those named are valid from 0 on. */
function policyWith(...valid: readonly ('udp' | 'ws')[]): PathPolicy {
  const policy = new PathPolicy();
  policy.checking('udp', 'udp');
  policy.checking('ws', 'websocket');
  for (const id of valid) policy.validated(id, 0);
  return policy;
}

function nominate(policy: PathPolicy, pathId: string): void {
  policy.nominationBegan(pathId);
  policy.nominated(pathId);
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

t.test('it climbs when the better rung was answered again, over some time', (t) => {
  const policy = policyWith('ws');
  nominate(policy, 'ws');
  policy.heard('ws', 900);
  policy.validated('udp', 1000);
  policy.answered('udp', 1000);
  policy.heard('ws', 1500);
  t.equal(policy.decide(1500), null);
  t.equal(policy.nextTimeout(1500), 1000 + provenMs);
  policy.heard('ws', 1000 + provenMs);
  t.same(policy.decide(1000 + provenMs), { type: 'prove', pathId: 'udp' }, 'one lucky reply proves nothing');
  t.equal(policy.decide(1000 + provenMs), null, 'asked once');
  policy.answered('udp', 1100 + provenMs);
  t.same(policy.decide(1100 + provenMs), { type: 'nominate', pathId: 'udp', reason: 'better-rung-proven' });
  t.end();
});

t.test('silence: asked for a sign of life, then left for another path, and not climbed back to at once', (t) => {
  const policy = policyWith('ws', 'udp');
  nominate(policy, 'udp');
  for (let now = 10; now <= 5000; now += 20) policy.heard('udp', now);
  policy.answered('ws', 4000);
  const { probeAfterMs, failAfterMs } = silence.lively;
  const last = 4990;
  t.equal(policy.decide(last), null);
  t.equal(policy.nextTimeout(last), last + probeAfterMs);
  t.same(policy.decide(last + probeAfterMs), { type: 'probe', pathId: 'udp' });
  t.equal(policy.decide(last + probeAfterMs), null, 'once');
  t.same(policy.decide(last + failAfterMs), { type: 'nominate', pathId: 'ws', reason: 'rung-failed' });
  nominate(policy, 'ws');
  let now = last + failAfterMs;
  const answeredUntil = now + 9000;
  for (; now < answeredUntil; now += 500) {
    policy.answered('udp', now);
    policy.heard('ws', now);
    t.not(policy.decide(now)?.type, 'nominate', `not yet at ${String(now)}`);
  }
  now = last + failAfterMs + 10_000;
  policy.answered('udp', now);
  policy.heard('ws', now);
  t.match(policy.decide(now), { pathId: 'udp', reason: 'better-rung-proven' });
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
  policy.nominated('ws');
  for (let now = 100; now <= 5000; now += 100) {
    policy.heard('ws', now);
    policy.answered('udp', now);
  }
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
  policy.answered('udp', 3000);
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
