import fc from 'fast-check';
import t from 'tap';
import { LayerAllocation, paused, takenHoldMs } from './layer-allocation.ts';
import type { SlotDemand } from './layer-allocation.ts';

const main: SlotDemand = { layers: [100, 1000] };
const thumbnail: SlotDemand = { layers: [100] };
const call = [main, thumbnail, thumbnail];

t.test('the smallest for all, then the largest for the first; the last are paused first', (t) => {
  const given = (budget: number): string => new LayerAllocation().allocate(call, budget, 0).join(' ');
  t.equal(given(Infinity), '1 0 0');
  t.equal(given(1200), '1 0 0');
  t.equal(given(1199), '0 0 0');
  t.equal(given(299), '0 0 -1');
  t.equal(given(199), '0 -1 -1');
  t.equal(given(99), '-1 -1 -1');
  t.end();
});

t.test('what was taken is not given back at once, nor for a hair', (t) => {
  const allocation = new LayerAllocation();
  const given = (budget: number, now: number): number | undefined => allocation.allocate(call, budget, now)[0];
  t.equal(given(1300, 0), 1);
  t.equal(given(1100, 100), 0);
  t.equal(given(5000, 200), 0, 'held');
  t.equal(given(1210, 100 + takenHoldMs), 0, 'too little headroom');
  t.equal(given(1400, 100 + takenHoldMs), 1);
  t.equal(given(1201, 200 + takenHoldMs), 1, 'what is given needs no headroom');
  t.equal(given(500, 1000 + takenHoldMs), 0);
  t.equal(given(5000, 1000 + 2 * takenHoldMs), 0, 'it was too early, so it takes longer');
  t.equal(given(5000, 1000 + 3 * takenHoldMs), 1);
  t.end();
});

t.test('a paused slot comes back with headroom, and a new source at once', (t) => {
  const allocation = new LayerAllocation();
  t.strictSame(allocation.allocate([thumbnail], 50, 0), [paused]);
  t.strictSame(allocation.allocate([thumbnail], 105, 10_000), [paused]);
  t.strictSame(allocation.allocate([thumbnail], 120, 10_100), [0]);
  allocation.allocate([{ layers: [] }], 120, 10_200);
  t.strictSame(allocation.allocate([main], 5000, 10_300), [1]);
  t.end();
});

t.test('never more than there is, and nobody is passed over for somebody behind', (t) => {
  const slots = fc.array(
    fc
      .array(fc.integer({ min: 1, max: 2000 }), { maxLength: 3 })
      .map((layers) => ({ layers: layers.sort((a, b) => a - b) })),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(slots, fc.nat(6000), fc.nat(5000)), { maxLength: 12 }), (steps) => {
      const allocation = new LayerAllocation();
      let now = 0;
      for (const [demands, budget, passed] of steps) {
        now += passed;
        const levels = allocation.allocate(demands, budget, now);
        const sum = levels.reduce((total, level, at) => total + (demands[at]?.layers[level] ?? 0), 0);
        if (sum > budget) return false;
      }
      return true;
    }),
  );
  t.end();
});
