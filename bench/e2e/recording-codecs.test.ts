/**
 * A stock Chromium publishes by WHIP in every codec, restarts ICE and switches simulcast layers while it is recorded; somebody
 * else's reader takes the files, and Chromium plays them.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { chromiumMissing, launchChromium } from './chromium.ts';
import { testTimeoutMs, withEdge } from './node-tools.ts';
import { adminApi, ffprobeMissing, probe, readRecording, until, type RecordingJson } from './recording-tools.ts';
import { WhipPage } from './whip-page.ts';

const skip = chromiumMissing || ffprobeMissing;
const codecs = ['vp8', 'vp9', 'h264', 'av1'] as const;

t.test('every codec, a restart, and another layer', { skip, timeout: testTimeoutMs }, async (t) => {
  const data = await mkdtemp(path.join(tmpdir(), 'sallyport-recording-'));
  const { edge, cleanUp } = await withEdge(t, { SALLYPORT_DATA_DIR: data });
  cleanUp(() => rm(data, { recursive: true, force: true }));
  const chromium = await launchChromium();
  cleanUp(() => chromium.close());
  const page = await WhipPage.open(await chromium.context(), edge.url);

  const ids = new Map<string, string>();
  for (const room of codecs) {
    const opened = await page.publish({ room, codec: room, simulcast: room === 'vp8' });
    t.match(opened, { etag: /^".+"$/, link: /rel="ice-server"/ });
    const api = await adminApi(edge, room);
    const { body } = await api('POST', `/v1/rooms/${room}/recording`);
    ids.set(room, (body as { id: string }).id);
  }
  const folder = path.join(data, 'recordings');
  const recording = (room: string): ReturnType<typeof readRecording> => readRecording(folder, ids.get(room));
  const camera = (json: RecordingJson): RecordingJson['tracks'][number] | undefined =>
    json.tracks.find(({ source }) => source === 'camera');
  await until(async () => (camera((await recording('vp8')).json)?.sizes.at(-1)?.width ?? 0) === 640);
  await page.sendLarge('vp8', false);
  const restarted = await page.restart('vp9');
  t.equal(restarted.negotiated, 'stable');
  t.not(restarted.etag, restarted.before, 'a new ICE session');
  const framesBefore = camera((await recording('vp9')).json)?.frames ?? 0;
  await until(async () => camera((await recording('vp8')).json)?.sizes.at(-1)?.width === 320);
  await page.sendLarge('vp8', true);
  await until(async () => camera((await recording('vp8')).json)?.sizes.at(-1)?.width === 640);
  await until(async () => (camera((await recording('vp9')).json)?.frames ?? 0) > framesBefore + 10);
  for (const room of codecs) {
    await until(async () => ((await recording(room)).json.files.at(-1)?.endMs ?? 0) > 2500);
    t.equal(await page.end(room), 200);
    await until(async () => (await recording(room)).json.endedBy === 'room-ended');
  }

  for (const room of codecs) {
    const { json, folder: own } = await recording(room);
    const name = json.files.at(-1)?.name ?? '';
    t.equal(path.extname(name), room === 'h264' ? '.mkv' : '.webm');
    const probed = await probe(path.join(own, name));
    t.equal(probed.complaints, '', `${room}: nothing to complain of`);
    const video = probed.streams.find(({ codec_type }) => codec_type === 'video');
    t.match(video, { codec_name: room }, room);
    const pictures = probed.packets.filter(({ stream_index }) => stream_index === video?.index);
    t.match(pictures[0]?.flags, /^K/, `${room} begins with a key frame`);
    t.ok(pictures.length > 10, `${room}: ${String(pictures.length)} pictures`);
    t.equal(camera(json)?.droppedFrames, 0);
    if (room === 'h264') continue;
    for (const from of [0, 1]) {
      const played = await page.play(path.join(own, name), from);
      t.match(played, { error: null, width: /^(320|640)$/ }, `${room} plays from ${String(from)} s`);
      t.ok(played.frames > 0);
      t.ok(Number.isFinite(played.duration) && played.duration > 2, 'how long it is, is in the header');
    }
  }
});
