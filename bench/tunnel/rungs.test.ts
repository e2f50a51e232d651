/** The clients of the benches against a real edge, so that a figure is never that of a client which has rotted. */
import t from 'tap';
import { startWorker, type WorkerProcess } from '../harness/worker-process.ts';
import type { Ages } from './age-log.ts';
import type { BenchRung } from './rung-client.ts';

const rungs: readonly BenchRung[] = ['udp', 'websocket', 'http-stream', 'http-stream-h1', 'long-poll', 'long-poll-h1'];
const shape = { bytes: 100, intervalMs: 10 };
const enough = 10;

async function receivedBy(worker: WorkerProcess): Promise<Ages> {
  for (;;) {
    const ages = (await worker.call('ages')) as Ages;
    if (ages.received >= enough) return ages;
    await new Promise((resolve) => setTimeout(resolve, shape.intervalMs));
  }
}

t.test('datagrams go both ways by every rung', async (t) => {
  const server = startWorker(new URL('./rung-server.js', import.meta.url));
  t.teardown(() => server.stop());
  const client = startWorker(new URL('./rung-client.js', import.meta.url));
  t.teardown(() => client.stop());
  const ends = await server.call('start');
  for (const rung of rungs) {
    await server.call('resetAges');
    await client.call('connect', { rung, ends });
    await client.call('start', shape);
    t.ok((await receivedBy(server)).p50Ms >= 0, `${rung} up`);
    await server.call('send', shape);
    t.ok((await receivedBy(client)).p50Ms >= 0, `${rung} down`);
    await server.call('stopSending');
    await client.call('stop');
    await client.call('close');
  }
  await server.call('end');
});
