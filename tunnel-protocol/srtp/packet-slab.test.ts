import fc from 'fast-check';
import t from 'tap';
import { PacketSlab } from './packet-slab.ts';

void t.test('regions never overlap, are zero, and are as long as asked', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 40, size: 'max' }), (lengths) => {
      const slab = new PacketSlab(256);
      const regions = lengths.map((length, i) => {
        const region = slab.take(length);
        if (region.length !== length || region.some((byte) => byte !== 0)) throw new Error('not what was asked for');
        return region.fill(i + 1);
      });
      return regions.every((region, i) => region.every((byte) => byte === i + 1));
    }),
  );
  t.end();
});
