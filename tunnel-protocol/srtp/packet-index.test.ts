import fc from 'fast-check';
import t from 'tap';
import { estimatePacketIndex, maxRtpPackets, rolloverCounter } from './packet-index.ts';

void t.test('RFC 3711 appendix A, around the wrap', (t) => {
  t.equal(estimatePacketIndex(10, 11), 11);
  t.equal(estimatePacketIndex(0xffff, 0), 0x1_0000, 'forward over the wrap');
  t.equal(estimatePacketIndex(0x1_0000, 0xffff), 0xffff, 'backward over the wrap');
  t.equal(estimatePacketIndex(65_500, 119), 0x1_0000 + 119, 'a gap of 155 across the wrap');
  t.equal(estimatePacketIndex(0x7_8000, 0x0000), 0x7_0000, 'half way is not yet beyond');
  t.equal(estimatePacketIndex(0x7_8001, 0x0000), 0x8_0000);
  t.equal(estimatePacketIndex(0x7_0000, 0x8000), 0x7_8000);
  t.equal(estimatePacketIndex(0x7_0000, 0x8001), 0x6_8001);
  t.end();
});

void t.test('no index is negative, and the last one has no successor', (t) => {
  t.equal(estimatePacketIndex(5, 0xfff0), 0xfff0);
  t.equal(estimatePacketIndex(maxRtpPackets - 1, 0), maxRtpPackets);
  t.equal(rolloverCounter(maxRtpPackets - 1), 0xffff_ffff);
  t.end();
});

void t.test('within 2^15 of the highest, every index is found again', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0x8000, max: maxRtpPackets - 0x8000 }),
      fc.integer({ min: -0x7fff, max: 0x7fff }),
      (highest, distance) => estimatePacketIndex(highest, (highest + distance) % 0x1_0000) === highest + distance,
    ),
  );
  t.end();
});
