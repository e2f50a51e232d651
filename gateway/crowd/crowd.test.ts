import t from 'tap';
import { crowd } from './crowd.ts';
import { crowdKinds } from './plan.ts';

const count = 100;

// A thousand connections and more, many with a TLS handshake: slow where the machine is busy.
t.setTimeout(110_000);

for (const engine of ['auto', 'node']) {
  t.test(`all kinds at once on one port, engine ${engine}`, { timeout: 110_000 }, async (t) => {
    const { opened, served, metrics, errors } = await crowd(count, { SALLYPORT_ENGINE: engine });
    const all = Object.fromEntries(crowdKinds.map((kind) => [kind, count]));
    t.same(opened, all);
    t.same(served, all);
    t.same(errors, []);
    t.match(metrics, `sallyport_turn_allocations ${String(2 * count)}\n`);
    t.match(metrics, `sallyport_connections{state="ice-tcp"} ${String(count)}\n`);
    t.match(metrics, `sallyport_connections_total{kind="turn-tls"} ${String(count)}\n`);
  });
}
