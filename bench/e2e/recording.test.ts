/** A room is recorded by the API; somebody else's reader takes the files, and a browser plays them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { startEdge } from './edge.ts';
import { joinInsecurely, publishClip, testTimeoutMs, withEdge } from './node-tools.ts';
import { adminApi, ffprobeMissing, probe, readRecording, until } from './recording-tools.ts';

t.test('one who speaks and is seen makes one file', { skip: ffprobeMissing, timeout: testTimeoutMs }, async (t) => {
  const data = await mkdtemp(path.join(tmpdir(), 'sallyport-recording-'));
  const { edge, joined, cleanUp } = await withEdge(t, { SALLYPORT_DATA_DIR: data });
  cleanUp(() => rm(data, { recursive: true, force: true }));
  const api = await adminApi(edge, 'test');
  const call = await joined(edge.url, { room: 'test', name: 'Clip', rungs: ['udp', 'websocket'] });
  const events: unknown[] = [];
  const off = call.on('recording', (event) => events.push(event));
  cleanUp(off);
  const source = await publishClip(call);
  cleanUp(() => {
    source.stop();
  });

  const started = await api('POST', '/v1/rooms/test/recording');
  t.match(started, { status: 200, body: { id: /^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$/ } });
  const again = await api('POST', '/v1/rooms/test/recording');
  t.same(again, started, 'a second start is no other recording');
  t.match(await api('GET', '/v1/rooms/test'), { body: { recording: started.body } });
  const folder = path.join(data, 'recordings');
  await until(async () => ((await readRecording(folder)).json.files[0]?.endMs ?? 0) > 3000);
  t.equal((await api('DELETE', '/v1/rooms/test/recording')).status, 204);
  t.match(await api('DELETE', '/v1/rooms/test/recording'), { status: 404, body: { code: 'not-found' } });
  await until(async () => (await readRecording(folder)).json.endedAt !== null);

  const { json, folder: own } = await readRecording(folder);
  t.match(json, { room: 'test', startedBy: 'api', endedBy: 'api', participants: [{ name: 'Clip' }] });
  t.equal(json.files.length, 1);
  t.strictSame(json.layout.at(-1)?.main?.source, 'camera');
  const probed = await probe(path.join(own, json.files[0]?.name ?? ''));
  t.equal(probed.complaints, '');
  t.match(probed.streams, [{ codec_name: 'opus' }, { codec_name: 'vp8', width: 640, height: 360 }]);
  t.ok(Number(probed.format.duration) > 3, 'the duration is in the header');
  const video = probed.packets.filter(({ stream_index }) => stream_index === 1);
  t.match(video[0]?.flags, /^K/, 'begins with a key frame');
  t.ok(video.length > 50, `${String(video.length)} pictures`);
  t.match(events, [{ active: true }, { active: false }], 'those in the room were told');
});

t.test('a token records its room; a folder that cannot be written is told', { timeout: testTimeoutMs }, async (t) => {
  const data = await mkdtemp(path.join(tmpdir(), 'sallyport-recording-'));
  const file = path.join(data, 'file');
  await writeFile(file, '');
  const edge = await startEdge({ environment: { SALLYPORT_STORAGE: path.join(file, 'recordings') } });
  t.teardown(async () => {
    await edge.close();
    await rm(data, { recursive: true, force: true });
  });
  const can = ['publish', 'subscribe', 'data'] as const;
  const grant = { identity: 'a', room: 'test', name: null, can, hidden: false, record: true };
  const watcher = await joinInsecurely(edge.url, { room: 'test', name: 'Watcher', rungs: ['websocket'] });
  t.teardown(() => watcher.leave());
  const told: object[] = [];
  watcher.on('recording', (event) => told.push(event));
  const token = await edge.tokens.issueJoinToken(grant, 600);
  const call = await joinInsecurely(edge.url, { room: 'test', token, name: 'Policy', rungs: ['websocket'] });
  t.teardown(() => call.leave());
  await until(() => Promise.resolve(told.length === 2));
  t.strictSame(told, [
    { active: true, fault: null },
    { active: false, fault: 'not-writable' },
  ]);
  t.match(edge.errors, [{ fault: 'not-writable' }]);
  t.match(await edge.metrics(), /^sallyport_recordings_total\{outcome="failed"\} 1$/m);
  t.equal(call.closed, false, 'the call goes on');
});
