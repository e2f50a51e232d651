/** What is left of a recording when its SFU node is killed, and when the node's disk is full. A moderator began it. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { videoSlotMids } from '../../tunnel-protocol/index.ts';
import { joinInsecurely, packetsOf, publishClip, testTimeoutMs, trackOf, withEdge } from './node-tools.ts';
import { ffprobeMissing, probe, readRecording, until, type Probed, type RecordingJson } from './recording-tools.ts';
import { clusterSecrets, startSfuNode, type SfuNodeProcess } from './sfu-node.ts';
import { SignallingClient } from './signalling-client.ts';

const root = process.getuid?.() === 0;
const unprivileged = root || process.env['CI'] === 'true' ? false : 'a small file system takes root to mount';
/** What a crash may cost, by docs/recording.md. */
const crashMs = 1000;
const fullBytes = 256 * 1024;

interface Recorded {
  /** What those in the room were told of recordings. */
  readonly told: object[];
  /** Resolves after 60 more packets of the picture have come to the other one. */
  readonly seen: () => Promise<void>;
}

/** Ada sends the clip through an edge and this node, Grace watches, and a moderator has the room recorded. */
async function recordedThrough(t: Test, node: SfuNodeProcess): Promise<Recorded> {
  const upstream = `trunk://127.0.0.1:${String(node.trunkPort)}`;
  const { edge } = await withEdge(t, { ...clusterSecrets, SALLYPORT_UPSTREAM: upstream });
  const [ada, grace] = await Promise.all(
    ['Ada', 'Grace'].map((name) => joinInsecurely(edge.url, { room: 'test', name, rungs: ['websocket'] })),
  );
  if (ada === undefined || grace === undefined) throw new Error('both have joined');
  const source = await publishClip(ada);
  t.teardown(async () => {
    source.stop();
    await Promise.all([ada.leave(), grace.leave()]);
  });
  const told: object[] = [];
  grace.on('recording', (event) => told.push(event));
  const track = await trackOf(grace, videoSlotMids[0]);
  const seen = (): Promise<void> => packetsOf(track, 60);
  await seen();
  const grant = { identity: 'moderator', room: 'test', name: null, can: ['subscribe', 'admin'], hidden: true } as const;
  const token = await edge.tokens.issueJoinToken(grant, 60);
  const moderator = await SignallingClient.open(edge.url, 'test', 'Moderator', token);
  t.teardown(() => {
    moderator.close();
  });
  await moderator.request({ type: 'join' });
  await moderator.request({ type: 'start-recording' });
  return { told, seen };
}

/** How long this process stood still at most. */
function stallMeter(t: Test): () => number {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last - 10);
    last = now;
  }, 10);
  t.teardown(() => {
    clearInterval(timer);
  });
  return () => longest;
}

/** Of the last picture or sound in it, in ms since the recording began. */
function endOf(json: RecordingJson, { packets }: Probed): number {
  const [file] = json.files;
  return (file?.startMs ?? 0) + 1000 * Math.max(...packets.map(({ pts_time }) => Number(pts_time)));
}

t.test('a node that is killed', { skip: ffprobeMissing, timeout: testTimeoutMs }, async (t) => {
  const data = await mkdtemp(path.join(tmpdir(), 'sallyport-recording-'));
  const node = await startSfuNode({ SALLYPORT_DATA_DIR: data });
  t.teardown(async () => {
    await node.end('SIGKILL');
    await rm(data, { recursive: true, force: true });
  });
  await recordedThrough(t, node);
  const folder = path.join(data, 'recordings');
  await until(async () => ((await readRecording(folder)).json.files[0]?.endMs ?? 0) > 2500);
  const stalled = stallMeter(t);
  const { json: before } = await readRecording(folder);
  await until(async () => (await readRecording(folder)).json.durationMs > before.durationMs);
  const killedAt = Date.now();
  await node.end('SIGKILL');

  const { json, folder: own } = await readRecording(folder);
  t.match(json, { startedBy: 'admin', endedAt: null, endedBy: null });
  const probed = await probe(path.join(own, json.files[0]?.name ?? ''));
  t.match(probed.streams, [{ codec_name: 'opus' }, { codec_name: 'vp8' }]);
  t.equal(probed.complaints, '', 'it can be played to its end');
  const lostMs = killedAt - Date.parse(json.startedAt) - endOf(json, probed);
  t.comment(`${lostMs.toFixed(0)} ms were lost; this process stood still for ${stalled().toFixed(0)} ms`);
  t.ok(lostMs < crashMs + stalled(), `${String(lostMs)} ms were lost`);

  const next = await startSfuNode({ SALLYPORT_DATA_DIR: data });
  await next.end();
  t.match((await readRecording(folder)).json, { endedBy: 'crash' }, 'the next one says what happened');
});

t.test('a full disk', { skip: unprivileged || ffprobeMissing, timeout: testTimeoutMs }, async (t) => {
  const data = await mkdtemp(path.join(tmpdir(), 'sallyport-recording-'));
  // In its own namespace, which goes with the process.
  const mounts = `mount -t tmpfs -o size=${String(fullBytes)} recordings "$0" && exec "$@"`;
  const within = ['unshare', '--mount', 'sh', '-c', mounts, data];
  const node = await startSfuNode({ SALLYPORT_STORAGE: data }, 'node1', within);
  t.teardown(async () => {
    await node.end();
    await rm(data, { recursive: true, force: true });
  });
  const { told, seen } = await recordedThrough(t, node);
  await until(() => Promise.resolve(told.length === 2));
  t.strictSame(told, [
    { active: true, fault: null },
    { active: false, fault: 'disk-full' },
  ]);
  await seen();
  t.pass('the call goes on');
  t.match(await node.metrics(), /^sallyport_recordings_total\{outcome="failed"\} 1$/m);
  t.match(node.logged.join('\n'), /"fault":"disk-full".*a recording cannot be written/);

  const kept = path.join(t.testdir(), 'kept');
  await cp(`/proc/${String(node.pid)}/root${data}`, kept, { recursive: true });
  const { json, folder } = await readRecording(kept);
  t.match(json, { endedBy: 'disk-full' });
  const probed = await probe(path.join(folder, json.files[0]?.name ?? ''));
  t.equal(probed.complaints, '', 'what was written plays');
  t.ok(endOf(json, probed) > 500, `${String(endOf(json, probed))} ms are kept`);
});
