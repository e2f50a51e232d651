/** Which tracks make which files: late ones, other codecs, parameters that change, key frames that do not come. */
import t from 'tap';
import { openTrack, RecordedFile } from './recorded-file.ts';
import { companionsMs, FileGroup, keyFramePatienceMs, maxFiles, minFileMs, type GroupedTrack } from './file-group.ts';
import { MemoryFile } from '../testing/memory-file.ts';
import type { CodecName } from '../sdp-codecs.ts';
import type { VideoCodec } from '../../tunnel-protocol/index.ts';

const vp8Key = Uint8Array.of(0, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00);
const vp9Key = Uint8Array.of(0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x78, 0x00);

/** Of 16×16, with this for a picture parameter set. */
function h264Key(pps: number): Uint8Array {
  const sps = [0, 0, 0, 7, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x7b, 0x20];
  return Uint8Array.of(...sps, 0, 0, 0, 2, 0x68, pps, 0, 0, 0, 2, 0x65, 0x88);
}

class Recorder implements GroupedTrack {
  readonly source: GroupedTrack['source'];
  codec: GroupedTrack['codec'] = null;
  forwarded: GroupedTrack['forwarded'] = 'audio';
  isOpen = true;
  asked = 0;

  constructor(source: GroupedTrack['source'], codec: CodecName, forwarded: 'audio' | VideoCodec) {
    this.source = source;
    this.speak(codec, forwarded);
  }

  speak(name: CodecName, forwarded: 'audio' | VideoCodec): void {
    this.codec = { name } as NonNullable<GroupedTrack['codec']>;
    this.forwarded = forwarded;
  }

  wantKeyFrame(): void {
    this.asked++;
  }
}

interface Group {
  readonly group: FileGroup;
  readonly microphone: Recorder;
  readonly camera: Recorder;
  /** Tracks of each file that began, as `source codec`, and whether it has ended. */
  readonly files: { readonly tracks: readonly string[]; readonly startMs: number; readonly file: RecordedFile }[];
  readonly ended: RecordedFile[];
  sound(now: number): void;
  picture(now: number, data?: Uint8Array): void;
}

function grouped(): Group {
  const files: Group['files'] = [];
  const ended: RecordedFile[] = [];
  const group = new FileGroup({
    begin: (tracks, startMs) => {
      const file = new RecordedFile(new MemoryFile(), tracks, startMs);
      files.push({
        tracks: tracks
          .map(({ source, codec }) => `${source} ${codec}`)
          .sort()
          .reverse(),
        startMs,
        file,
      });
      return file;
    },
    ended: (file) => ended.push(file),
  });
  const microphone = new Recorder('microphone', 'opus', 'audio');
  const camera = new Recorder('camera', 'VP8', 'vp8');
  return {
    group,
    microphone,
    camera,
    files,
    ended,
    sound: (now) => {
      group.frame('microphone', { atMs: now, keyFrame: true, data: Uint8Array.of(1) }, now);
    },
    picture: (now, data) => {
      group.frame('camera', { atMs: now, keyFrame: data !== undefined, data: data ?? Uint8Array.of(1) }, now);
    },
  };
}

function tracksOf({ files }: Group): (readonly string[])[] {
  return files.map(({ tracks }) => tracks);
}

const both = ['microphone opus', 'camera VP8'];

t.test('the first file begins when all that is published has come', (t) => {
  const own = grouped();
  own.group.add(own.microphone);
  own.group.add(own.camera);
  own.sound(0);
  own.group.tick(100);
  t.strictSame(own.files, [], 'the camera is waited for');
  own.picture(150);
  own.picture(200, vp8Key);
  own.group.tick(201);
  t.strictSame(tracksOf(own), [both]);
  t.equal(own.files[0]?.startMs, 0, 'with the first sound');
  t.end();
});

t.test('a camera that is late gets a file with the microphone; a silent one is not waited for longer', (t) => {
  const own = grouped();
  own.group.add(own.microphone);
  own.group.add(own.camera);
  own.sound(0);
  own.group.tick(companionsMs - 1);
  t.strictSame(tracksOf(own), []);
  own.group.tick(companionsMs);
  t.strictSame(tracksOf(own), [['microphone opus']]);
  own.picture(companionsMs + 10, vp8Key);
  own.group.tick(companionsMs + 20);
  t.equal(own.files.length, 1, 'the first one is too young to end');
  own.sound(companionsMs + 30);
  own.group.tick(companionsMs + minFileMs);
  t.strictSame(tracksOf(own), [['microphone opus'], both]);
  t.equal(own.files[1]?.startMs, companionsMs + 10, 'from its first picture on');
  t.strictSame(own.ended, [own.files[0]?.file]);
  t.end();
});

t.test('a microphone that is late waits for a picture that its file can begin with', (t) => {
  const own = grouped();
  own.group.add(own.camera);
  own.picture(0, vp8Key);
  own.group.tick(10);
  t.strictSame(tracksOf(own), [['camera VP8']]);
  own.group.add(own.microphone);
  own.sound(2000);
  t.equal(own.camera.asked, 1, 'it is asked for');
  own.picture(2040);
  own.group.tick(2100);
  t.equal(own.files.length, 1);
  own.picture(2140, vp8Key);
  t.strictSame(tracksOf(own), [['camera VP8'], both]);
  t.equal(own.files[1]?.startMs, 2000);
  t.end();
});

t.test('a publisher who sends no key frame holds nobody up for ever', (t) => {
  const own = grouped();
  own.group.add(own.camera);
  own.picture(0, vp8Key);
  own.group.tick(10);
  own.group.add(own.microphone);
  own.sound(2000);
  own.group.tick(2000 + keyFramePatienceMs - 1);
  t.equal(own.files.length, 1);
  own.group.tick(2000 + keyFramePatienceMs);
  t.strictSame(tracksOf(own), [['camera VP8'], ['microphone opus']]);
  own.picture(5100);
  own.group.tick(6200);
  t.equal(own.files.length, 2, 'and is of no use before one comes');
  own.picture(6300, vp8Key);
  own.group.tick(6300);
  t.strictSame(tracksOf(own).at(-1), both);
  t.end();
});

t.test('another codec makes another file, also when it changes before the file began', (t) => {
  const own = grouped();
  own.group.add(own.microphone);
  own.group.add(own.camera);
  own.sound(0);
  own.picture(0, vp8Key);
  own.group.tick(10);
  own.camera.speak('VP9', 'vp9');
  own.picture(2000);
  own.picture(2100, vp9Key);
  own.picture(2140);
  own.camera.speak('VP8', 'vp8');
  own.picture(2150);
  own.picture(2160, vp8Key);
  own.camera.speak('VP9', 'vp9');
  own.picture(2170, vp9Key);
  own.group.tick(2200);
  t.strictSame(tracksOf(own), [both, ['microphone opus', 'camera VP9']]);
  t.equal(own.files[1]?.startMs, 2170);
  t.end();
});

t.test('whoever changes parameters with each picture makes a file a second, and no more than so many', (t) => {
  const own = grouped();
  own.camera.speak('H264', 'h264');
  own.group.add(own.camera);
  let now = 0;
  for (let pictures = 0; pictures < 100; pictures++, now += 100) {
    own.picture(now, h264Key(pictures));
    own.group.tick(now);
  }
  t.equal(own.files.length, 10);
  t.equal(own.ended.length, 9);
  for (let pictures = 0; pictures < maxFiles; pictures++, now += minFileMs) {
    own.picture(now, h264Key(pictures & 0xff));
    own.picture(now, h264Key((pictures + 1) & 0xff));
    own.group.tick(now);
  }
  t.equal(own.files.length, maxFiles);
  t.end();
});

t.test('a muted track leaves the next file, and comes back with its own', (t) => {
  const own = grouped();
  own.group.add(own.microphone);
  own.group.add(own.camera);
  own.sound(0);
  own.picture(0, vp8Key);
  own.group.tick(10);
  own.microphone.isOpen = false;
  own.picture(2000, vp8Key);
  own.group.tick(2000);
  t.equal(own.files.length, 1, 'nothing else happens');
  own.camera.speak('VP9', 'vp9');
  own.picture(3000, vp9Key);
  own.group.tick(3000);
  t.strictSame(tracksOf(own).at(-1), ['camera VP9']);
  own.microphone.isOpen = true;
  own.sound(5000);
  own.picture(5010, vp9Key);
  t.strictSame(tracksOf(own).at(-1), ['microphone opus', 'camera VP9']);
  own.group.end(6000);
  t.equal(own.ended.length, own.files.length, 'all have ended');
  t.equal(openTrack('camera', 'VP9', 'vp9', vp9Key)?.video?.width, 640);
  t.end();
});
