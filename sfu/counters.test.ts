import t from 'tap';
import { createCounters, gatherCounters, sfuCounts } from './counters.ts';

t.test('all counts under snake_case names, none hides another', (t) => {
  const counters = createCounters();
  counters.sfu.rtp_in = 3;
  counters.ice.missingIntegrity = 2;
  counters.ice.badIntegrity = 5;
  counters.srtp.protectedRtp = 7;
  const all = gatherCounters(counters);
  t.equal(all['rtp_in'], 3);
  t.equal(all['ice_bad_integrity'], 5);
  t.equal(all['stun_unauthenticated'], 7);
  t.equal(all['srtp_protected_rtp'], 7);
  const groups = [counters.sfu, counters.ice, counters.dtls, counters.srtp, counters.data];
  const names = groups.flatMap((group) => Object.keys(group));
  t.equal(Object.keys(all).length, names.length + 1);
  for (const [name, count] of Object.entries(all)) {
    t.match(name, /^[a-z0-9_]+$/);
    t.type(count, 'number', name);
  }
  t.strictSame(Object.keys(counters.sfu), Object.keys(sfuCounts));
  t.end();
});
