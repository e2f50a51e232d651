/** What is written into a file and what is left out, while the disk is fast, slow or full. */
import t from 'tap';
import { MemoryFile } from '../testing/memory-file.ts';
import { interleaveMs, openTrack, RecordedFile } from './recorded-file.ts';
import type { TimedFrame } from './track-recorder.ts';

/** A VP8 key frame's header of 320×180. */
const vp8Key = Uint8Array.of(0, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00);

function frame(atMs: number, mark: number, keyFrame = true): TimedFrame {
  return { atMs, keyFrame, data: Uint8Array.of(0xee, 0xee, mark) };
}

function begun(): { readonly memory: MemoryFile; readonly file: RecordedFile } {
  const memory = new MemoryFile();
  const camera = openTrack('camera', 'VP8', 'vp8', vp8Key);
  const microphone = openTrack('microphone', 'opus', 'audio', Uint8Array.of(1));
  if (camera === null || microphone === null) throw new Error('these can be opened');
  return { memory, file: new RecordedFile(memory, [microphone, camera], 1000) };
}

/** The marks of the frames in a file, in their order. */
function marksOf(bytes: Buffer): number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(Buffer.of(0xee, 0xee)); at >= 0; at = bytes.indexOf(Buffer.of(0xee, 0xee), at + 2)) {
    found.push(bytes[at + 2] ?? 0);
  }
  return found;
}

t.test('frames of both tracks lie in the order of time, as soon as none can come before them', (t) => {
  const { memory, file } = begun();
  t.match(file.track('camera'), { number: 2, codec: 'VP8', video: { width: 320, height: 180 } });
  t.equal(file.track('screen'), null);
  file.add('microphone', frame(1000, 1));
  file.add('microphone', frame(1060, 4));
  file.add('camera', frame(1010, 2));
  file.add('camera', frame(1050, 3, false));
  file.add('screen', frame(1000, 9));
  file.write(1010 + interleaveMs);
  t.strictSame(marksOf(memory.bytes), [1, 2]);
  t.equal(file.endMs, 1010);
  file.end();
  t.strictSame(marksOf(memory.bytes), [1, 2, 3, 4]);
  t.ok(memory.ended);
  t.equal(file.bytes, memory.bytes.length);
  t.end();
});

t.test('what a full disk cost is counted, and the picture goes on with its next key frame', (t) => {
  const { memory, file } = begun();
  const write = (source: 'camera' | 'microphone', atMs: number, mark: number, keyFrame: boolean): void => {
    file.add(source, frame(atMs, mark, keyFrame));
    file.write(atMs + interleaveMs);
  };
  write('camera', 1000, 1, true);
  memory.isFull = true;
  write('camera', 1040, 2, false);
  write('microphone', 1050, 3, true);
  memory.isFull = false;
  write('camera', 1080, 4, false);
  write('microphone', 1090, 5, true);
  t.strictSame(new Map(file.takeDropped()), new Map([['camera', 2], ['microphone', 1]])); // prettier-ignore
  t.ok(file.awaitsKeyFrame('camera'));
  write('camera', 1120, 6, true);
  write('camera', 1160, 7, false);
  t.notOk(file.awaitsKeyFrame('camera'));
  t.strictSame(file.takeDropped(), [], 'each is told once');
  t.strictSame(marksOf(memory.bytes), [1, 5, 6, 7], 'sound goes on at once');
  t.end();
});

t.test('a first frame that says nothing opens no file', (t) => {
  t.equal(openTrack('camera', 'VP8', 'vp8', Uint8Array.of(1, 2, 3)), null);
  t.equal(openTrack('camera', 'H264', 'h264', Uint8Array.of(0, 0, 0, 1, 0x65)), null);
  t.end();
});
