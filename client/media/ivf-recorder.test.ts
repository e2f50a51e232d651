import { readFileSync } from 'node:fs';
import t from 'tap';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { ClipSource } from './clip-source.ts';
import { loadClip } from './clip.ts';
import { IvfRecorder } from './ivf-recorder.ts';
import { parseIvf } from './ivf.ts';

const clipFile = new URL('../../../media/clip.ivf', import.meta.url).pathname;

t.test('a recording of the clip is the clip', async (t) => {
  const file = `${t.testdir()}/out.ivf`;
  const clip = await loadClip([clipFile]);
  const clock = new VirtualClock();
  const source = new ClipSource(clip, clock);
  const track = source.video;
  if (track === null) throw new Error('no video');
  const recorder = await IvfRecorder.open(file);
  recorder.record(track, () => undefined);
  t.throws(() => {
    recorder.record(track, () => undefined);
  });
  source.start();
  clock.advance(5999);
  await recorder.close();
  await recorder.close();
  clock.advance(1000);
  source.stop();
  t.match(recorder, { frames: 150, keyFrames: 6 });
  const frames = (of: ReturnType<typeof parseIvf>): unknown =>
    'frames' in of && of.frames.map(({ timeMs, data }) => [timeMs, Buffer.from(data).toString('base64')]);
  t.strictSame(frames(parseIvf(readFileSync(file))), frames(parseIvf(readFileSync(clipFile))));
});

t.test('a recording without a frame is a header; a folder that is not there is an error', async (t) => {
  const file = `${t.testdir()}/out.ivf`;
  const recorder = await IvfRecorder.open(file);
  await recorder.close();
  t.equal(readFileSync(file).length, 32);
  await t.rejects(IvfRecorder.open(`${file}/x/out.ivf`), { code: 'file-unreadable', message: /out\.ivf/ });
});
