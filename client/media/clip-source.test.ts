import t from 'tap';
import type { RtpPacket } from 'werift';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { ClipSource } from './clip-source.ts';
import { loadClip } from './clip.ts';
import { asksForKeyFrame, pictureLossIndication } from './key-frame-request.ts';
import { Vp8Depacketizer } from './vp8-depacketizer.ts';

const media = new URL('../../../media/', import.meta.url);
const files = ['clip.ivf', 'clip.ogg'].map((name) => new URL(name, media).pathname);

t.test('real time, looping, without seams in the timestamps', async (t) => {
  const clock = new VirtualClock();
  const source = new ClipSource(await loadClip(files), clock);
  const frames: { timestamp: number; atMs: number }[] = [];
  const sound: { packet: RtpPacket; atMs: number }[] = [];
  const depacketizer = new Vp8Depacketizer({
    frame: ({ timestamp }) => frames.push({ timestamp, atMs: clock.now() }),
    needKeyFrame: () => undefined,
  });
  source.video?.onReceiveRtp.subscribe(({ header, payload }) => {
    const { sequenceNumber, timestamp, marker } = header;
    depacketizer.push({ sequenceNumber, timestamp, marker, payload });
  });
  source.audio?.onReceiveRtp.subscribe((packet) => sound.push({ packet, atMs: clock.now() }));
  source.start();
  clock.advance(15_000);
  source.stop();
  t.equal(frames.length, 15 * 25 + 1);
  t.equal(source.framesSent, frames.length);
  t.equal(sound.length, 15 * 50 + 1);
  t.ok(
    frames.every(
      ({ timestamp, atMs }, i) => ((timestamp - (frames[0]?.timestamp ?? 0)) | 0) === i * 3600 && atMs === i * 40,
    ),
  );
  const [first] = sound;
  t.ok(
    sound.every(({ packet, atMs }, i) => {
      const { timestamp, sequenceNumber } = packet.header;
      const { header } = first?.packet ?? packet;
      return (
        ((timestamp - header.timestamp) | 0) === i * 960 &&
        ((sequenceNumber - header.sequenceNumber) & 0xffff) === i &&
        atMs === i * 20
      );
    }),
  );
  clock.advance(1000);
  t.equal(frames.length, 15 * 25 + 1, 'nothing after stop');
});

t.test('a key frame follows a request at once; requests in a row are one', async (t) => {
  const clock = new VirtualClock();
  const source = new ClipSource(await loadClip(files), clock);
  const keyFramesAt: number[] = [];
  const depacketizer = new Vp8Depacketizer({
    frame: ({ keyFrame }) => {
      if (keyFrame) keyFramesAt.push(clock.now());
    },
    needKeyFrame: () => undefined,
  });
  source.video?.onReceiveRtp.subscribe(({ header, payload }) => {
    const { sequenceNumber, timestamp, marker } = header;
    depacketizer.push({ sequenceNumber, timestamp, marker, payload });
  });
  source.start();
  clock.advance(400);
  const request = pictureLossIndication(1, 2);
  t.ok(asksForKeyFrame(request));
  source.video?.onReceiveRtcp.execute(request);
  source.video?.onReceiveRtcp.execute(request);
  clock.advance(1600);
  t.same(keyFramesAt, [0, 440, 1440]);
  clock.advance(20_000);
  source.stop();
  t.ok(
    keyFramesAt.every((at, i) => at - (keyFramesAt[i - 1] ?? at) <= 1000),
    'also in the next laps',
  );
});

t.test('a process that slept does not send what it missed in one burst', async (t) => {
  const clock = new VirtualClock();
  const source = new ClipSource(await loadClip(files), clock);
  let packets = 0;
  source.audio?.onReceiveRtp.subscribe(() => packets++);
  source.start();
  clock.advance(100);
  packets = 0;
  clock.jump(60_000);
  clock.advance(0);
  t.ok(packets <= 2, `${String(packets)} packets at once`);
  source.stop();
});

t.test('files that are none', async (t) => {
  await t.rejects(loadClip(['/nonexistent/clip.ivf']), { code: 'file-unreadable' });
  await t.rejects(loadClip([new URL('README.md', media).pathname]), {
    code: 'bad-file',
    message: /README\.md: it is no IVF file/,
  });
  const [ivf = ''] = files;
  await t.rejects(loadClip([ivf, ivf]), { code: 'bad-file', message: /a second file with pictures/ });
});
