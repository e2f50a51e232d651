import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Openings } from './openings.ts';

const limits = { openingTimeoutMs: 100, maxOpenings: 10, maxOpeningsPerClient: 10 };

function blockFor(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

t.test('what this process held up itself is cut later than what clients held up', async (t) => {
  const openings = new Openings(limits);
  const cuts: string[] = [];
  openings.open('192.0.2.1', (reason) => cuts.push(reason));
  blockFor(600);
  // The timer is long due, and so is whatever came meanwhile.
  await new Promise(setImmediate);
  await sleep(100);
  t.same(cuts, []);
  t.equal(openings.size, 1);
  // As late as it was, once more.
  while (openings.size > 0) await sleep(20);
  t.same(cuts, ['timed-out']);
});

t.test('on time otherwise', async (t) => {
  const openings = new Openings(limits);
  const startedAt = performance.now();
  const cutAt = await new Promise<number>((resolve) => {
    openings.open('192.0.2.1', () => {
      resolve(performance.now());
    });
    // Keeps the process alive: the timer alone does not.
    const alive = setInterval(() => undefined, 1000);
    t.teardown(() => {
      clearInterval(alive);
    });
  });
  t.ok(cutAt - startedAt >= limits.openingTimeoutMs);
  t.equal(openings.size, 0);
  openings.close();
});
