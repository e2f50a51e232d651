import fc from 'fast-check';
import t from 'tap';
import { isKeyFrame, type VideoCodec } from './key-frame.ts';

const cases: [VideoCodec, string, boolean, string][] = [
  ['vp8', '10 00', true, 'frame start, P clear'],
  ['vp8', '10 01', false, 'P set'],
  ['vp8', '00 00', false, 'a later packet of the frame'],
  ['vp8', '90 e0 8001 05 20 00', true, 'behind a full descriptor'],
  ['vp9', '08', true, 'P clear, B set'],
  ['vp9', '48', false, 'P set'],
  ['vp9', '00', false, 'B clear'],
  ['vp9', 'a8 8123 00 00', true, '15-bit picture id, spatial layer 0'],
  ['vp9', 'a8 01 02 00', false, '7-bit picture id, spatial layer 1'],
  ['vp9', 'a8 01', false, 'the layer byte is missing'],
  ['vp9', 'a8', false, 'cut short'],
  ['h264', '65 88', true, 'IDR slice'],
  ['h264', '67 42', true, 'sequence parameter set'],
  ['h264', '68 ce', false, 'picture parameter set'],
  ['h264', '41 9a', false, 'slice'],
  ['h264', '78 0002 68ce 0002 6588', true, 'STAP-A with an IDR slice'],
  ['h264', '78 0002 68ce 0002 419a', false, 'STAP-A without'],
  ['h264', '78 ffff 68ce 0002 6588', false, 'STAP-A with a length that lies'],
  ['h264', '78 0000 0000 0000', false, 'STAP-A of empty units'],
  ['h264', '7c 85 88', true, 'FU-A, first fragment of an IDR slice'],
  ['h264', '7c 05 88', false, 'FU-A, a later fragment'],
  ['h264', '7c 81 88', false, 'FU-A, first fragment of another slice'],
  ['h264', '7c', false, 'cut short'],
  ['av1', '18 0a', true, 'N set'],
  ['av1', '10 0a', false, 'N clear'],
  ['av1', '98 0a', false, 'N with Z'],
];

void t.test('handmade payloads', (t) => {
  for (const [codec, hex, expected, why] of cases) {
    const payload = new Uint8Array(Buffer.from(`ffff${hex}00ff`.replaceAll(' ', ''), 'hex'));
    t.equal(isKeyFrame(codec, payload, 2, payload.length - 4), expected, `${codec}: ${why}`);
    t.notOk(isKeyFrame(codec, payload, 2, 0), 'empty');
  }
  t.end();
});

void t.test('random payloads never throw', (t) => {
  const codec = fc.constantFrom<VideoCodec>('vp8', 'vp9', 'h264', 'av1');
  fc.assert(
    fc.property(codec, fc.uint8Array({ maxLength: 40, size: 'max' }), (name, payload) => {
      isKeyFrame(name, payload, 0, payload.length);
    }),
    { numRuns: 1000 },
  );
  t.end();
});
