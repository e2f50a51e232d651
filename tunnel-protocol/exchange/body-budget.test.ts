import t from 'tap';
import { BodyBudget } from './body-budget.ts';
import { exchangeLimits } from './limits.ts';

/** Sends full bodies over a path of this rate and round trip, and tells what each took in the end. */
function settle(budget: BodyBudget, bytesPerMs: number, roundTripMs: number): number {
  let tookMs = 0;
  for (let i = 0; i < 40; i++) {
    tookMs = roundTripMs + budget.bytes / bytesPerMs;
    budget.measured(budget.bytes, tookMs);
  }
  return tookMs - roundTripMs;
}

t.test('bodies fill a wide path, and take a tenth of a second or so on a narrow one', (t) => {
  const budget = new BodyBudget();
  budget.measured(100, 40);
  t.equal(budget.bytes, exchangeLimits.firstBodyBytes, 'an empty body says nothing');
  settle(budget, 12_500, 40);
  t.equal(budget.bytes, exchangeLimits.maxBodyBytes, '100 Mbit/s');
  t.ok(settle(budget, 125, 40) < 200, '1 Mbit/s');
  t.ok(budget.bytes >= exchangeLimits.leastBodyBytes);
  settle(budget, 12_500, 40);
  t.equal(budget.bytes, exchangeLimits.maxBodyBytes, 'wide again');
  settle(budget, 12_500, 400);
  for (let i = 0; i < 600; i++) budget.measured(budget.bytes, 410);
  t.equal(budget.bytes, exchangeLimits.maxBodyBytes, 'a longer path is not a narrower one');
  t.end();
});
