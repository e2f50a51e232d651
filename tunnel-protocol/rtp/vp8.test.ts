import fc from 'fast-check';
import t from 'tap';
import { isVp8KeyFrame } from './key-frame.ts';
import { putVp8PictureId, putVp8Tl0PicIdx, Vp8Descriptor } from './vp8.ts';

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

function parsed(hex: string): Vp8Descriptor | null {
  const packet = bytes(hex);
  const descriptor = new Vp8Descriptor();
  return descriptor.parse(packet, 0, packet.length) ? descriptor : null;
}

void t.test('descriptors', (t) => {
  t.match(parsed('10 01'), { length: 1, startOfFrame: true, keyFrame: false, pictureIdBits: 0, temporalId: -1 });
  t.match(parsed('00 00'), { length: 1, startOfFrame: false, keyFrame: false });
  t.match(parsed('11 00'), { startOfFrame: false, keyFrame: false }, 'partition 1 begins no frame');
  t.match(parsed('30 00'), { nonReference: true, keyFrame: true });
  t.match(parsed('90 80 7b 01'), { length: 3, pictureIdOffset: 2, pictureIdBits: 7, pictureId: 0x7b });
  t.match(parsed('90 80 9234 01'), { length: 4, pictureIdBits: 15, pictureId: 0x1234 });
  t.match(parsed('90 e0 9234 55 a0 01'), {
    length: 6,
    tl0PicIdxOffset: 4,
    tl0PicIdx: 0x55,
    temporalId: 2,
    layerSync: true,
    keyIndex: -1,
  });
  t.match(parsed('80 10 1f 01'), { length: 3, temporalId: -1, keyIndex: 31, layerSync: false });
  t.match(parsed('80 00 01'), { length: 2, pictureIdBits: 0 });
  t.end();
});

void t.test('key frame size', (t) => {
  t.match(parsed('10 500000 9d012a 8002 e001 00'), { keyFrame: true, width: 640, height: 480 });
  t.match(parsed('10 500000 9d012a 80c2 e041 00'), { width: 640, height: 480 }, 'without the scale bits');
  t.match(parsed('10 500000 9d012b 8002 e001 00'), { keyFrame: true, width: 0 }, 'no start code');
  t.match(parsed('10 500000 9d012a 8002 e0'), { keyFrame: true, width: 0 }, 'cut short');
  t.end();
});

void t.test('what is cut short is refused', (t) => {
  for (const hex of [
    '',
    '10',
    '90',
    '90 80',
    '90 80 80',
    '90 80 8001',
    '90 40',
    '90 40 01',
    '90 f0 8001 01',
    '80 00',
  ]) {
    t.equal(parsed(hex), null, hex);
    const packet = bytes(hex);
    t.notOk(isVp8KeyFrame(packet, 0, packet.length));
  }
  const descriptor = new Vp8Descriptor();
  t.notOk(descriptor.parse(bytes('90 80 8001 00'), 0, 4), 'bytes behind the payload are not read');
  t.end();
});

void t.test('rewriting in place', (t) => {
  const long = bytes('90 c0 9234 55 01');
  putVp8PictureId(long, 2, 0x7fff);
  putVp8Tl0PicIdx(long, 4, 0x100);
  t.same(long, bytes('90 c0 ffff 00 01'));
  const short = bytes('90 80 7b 01');
  putVp8PictureId(short, 2, 0x81);
  t.same(short, bytes('90 80 01 01'));
  t.end();
});

void t.test('random payloads: offsets stay inside, and the short test agrees', (t) => {
  const descriptor = new Vp8Descriptor();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20, size: 'max' }), fc.integer({ min: 0, max: 5 }), (payload, before) => {
      const packet = new Uint8Array(before + payload.length);
      packet.set(payload, before);
      const sound = descriptor.parse(packet, before, payload.length);
      if (isVp8KeyFrame(packet, before, payload.length) !== (sound && descriptor.keyFrame)) return false;
      if (!sound) return true;
      const end = before + descriptor.length;
      return (
        end < packet.length &&
        descriptor.pictureIdOffset + descriptor.pictureIdBits / 8 <= end &&
        descriptor.tl0PicIdxOffset < end
      );
    }),
    { numRuns: 2000 },
  );
  t.end();
});
