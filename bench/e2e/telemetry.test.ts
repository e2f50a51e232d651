/** What a call tells of itself arrives in the edge's metrics and in its file. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { packetsOf, publishClip, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';

t.setTimeout(testTimeoutMs);

t.test('a Node call tells of itself when it is left; one that wants no telemetry does not', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-telemetry-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const { edge, joined } = await withEdge(t, { SALLYPORT_DATA_DIR: folder, SALLYPORT_EDGE_ID: 'pop1' });
  const ada = await joined(edge.url, { room: 'secret-room', name: 'Ada', rungs: ['websocket'], telemetry: false });
  const grace = await joined(edge.url, { room: 'secret-room', name: 'Grace', rungs: ['websocket'] });
  const source = await publishClip(ada);
  await packetsOf(await trackOf(grace, videoSlotMids[0]), 20);
  await grace.leave();
  source.stop();
  await ada.leave();

  const metrics = await edge.metrics();
  t.match(metrics, '\nsallyport_qos_events_total{outcome="accepted"} 1\n');
  t.match(metrics, /\nsallyport_qos_dwell_seconds_total\{rung="websocket"\} [0-9.]+\n/);
  t.match(metrics, /\nsallyport_qos_attempts_total\{rung="websocket",channel="control",outcome="connected"\} 1\n/);
  for (const step of ['session', 'control', 'ice', 'dtls', 'first-media']) {
    t.match(metrics, `\nsallyport_qos_join_seconds_count{step="${step}"} 1\n`);
  }
  await edge.close();
  const text = await readFile(path.join(folder, 'telemetry.ndjson'), 'utf8');
  const lines = text.trimEnd().split('\n');
  t.equal(lines.length, 1);
  const told = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  t.match(told, {
    edge: 'pop1',
    region: 'default',
    v: 1,
    seq: 0,
    final: true,
    client: { kind: 'node' },
    rung: 'websocket',
    reconnections: { media: 0, control: 0 },
  });
  t.ok((told['tracks'] as unknown[]).length > 0);
  for (const secret of ['secret-room', 'Grace', 'Ada', grace.sessionId, '127.0.0.1']) {
    t.notOk(text.includes(secret), `nothing of ${secret} is in it`);
    t.notOk(metrics.includes(secret), `nor in the metrics`);
  }
});
