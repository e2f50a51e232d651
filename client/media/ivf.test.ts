import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { FileFault } from './file-fault.ts';
import { encodeIvfFrame, encodeIvfHeader, parseIvf } from './ivf.ts';

const clip = readFileSync(new URL('../../../media/clip.ivf', import.meta.url));
const keyFrame = Uint8Array.of(0x10, 1, 2, 3);
const deltaFrame = Uint8Array.of(0x11, 1, 2);

function fileOf(...frames: Uint8Array[]): Uint8Array {
  return Buffer.concat([encodeIvfHeader({ width: 640, height: 360 }, 0), ...frames]);
}

function faultOf(file: Uint8Array): string {
  const parsed = parseIvf(file);
  return parsed instanceof FileFault ? parsed.message : 'no fault';
}

t.test('the clip: 150 frames in 6 s, a key frame every second', (t) => {
  const ivf = parseIvf(clip);
  if (ivf instanceof FileFault) throw new Error(ivf.message);
  t.match(ivf, { width: 640, height: 360, durationMs: 6000 });
  t.equal(ivf.frames.length, 150);
  const keyTimes = ivf.frames.filter((frame) => frame.keyFrame).map((frame) => frame.timeMs);
  t.same(keyTimes, [0, 1000, 2000, 3000, 4000, 5000]);
  t.end();
});

t.test('what is written can be read', (t) => {
  const ivf = parseIvf(fileOf(encodeIvfFrame(7, keyFrame), encodeIvfFrame(47.4, deltaFrame)));
  if (ivf instanceof FileFault) throw new Error(ivf.message);
  t.same(
    ivf.frames.map(({ timeMs, keyFrame, data }) => ({ timeMs, keyFrame, data: [...data] })),
    [
      { timeMs: 0, keyFrame: true, data: [...keyFrame] },
      { timeMs: 40, keyFrame: false, data: [...deltaFrame] },
    ],
  );
  t.equal(ivf.durationMs, 80);
  t.end();
});

t.test('faults are named', (t) => {
  const header = encodeIvfHeader({ width: 1, height: 1 }, 0);
  const changed = (at: number, ...bytes: number[]): Uint8Array => {
    const copy = header.slice();
    copy.set(bytes, at);
    return copy;
  };
  t.match(faultOf(new Uint8Array(31)), 'shorter than the header');
  t.match(faultOf(changed(0, 0x52)), 'does not begin with "DKIF"');
  t.match(faultOf(changed(4, 1)), 'version 1');
  t.match(faultOf(changed(6, 33)), 'header length');
  t.match(faultOf(changed(8, 0x41, 0x56, 0x30, 0)), 'it holds "AV0?"');
  t.match(faultOf(changed(16, 0, 0)), 'time base');
  t.match(faultOf(header), 'no frame');
  t.match(faultOf(fileOf(encodeIvfFrame(0, deltaFrame))), 'not a key frame');
  t.match(faultOf(fileOf(encodeIvfFrame(5, keyFrame), encodeIvfFrame(5, deltaFrame))), 'frame 1 is not later');
  t.match(faultOf(fileOf(encodeIvfFrame(0, keyFrame)).subarray(0, -1)), 'frame 0 is cut off');
  t.match(faultOf(fileOf(encodeIvfFrame(0, keyFrame), Uint8Array.of(1, 2))), 'frame 1 is cut off in its header');
  t.match(faultOf(fileOf(encodeIvfFrame(0, new Uint8Array(0)))), 'says it has 0 bytes');
  t.match(faultOf(fileOf(encodeIvfFrame(0, keyFrame), encodeIvfFrame(1e15, keyFrame))), 'more than a day');
  t.end();
});

t.test('damaged files never throw', (t) => {
  const sample = clip.subarray(0, 4000);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(sample.length - 1), fc.nat(255)), { maxLength: 20 }),
      fc.nat(sample.length),
      (changes, length) => {
        const file = Uint8Array.from(sample.subarray(0, length));
        for (const [at, value] of changes) if (at < length) file[at] = value;
        parseIvf(file);
      },
    ),
  );
  t.end();
});
