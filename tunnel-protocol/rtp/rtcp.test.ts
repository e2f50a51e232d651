import fc from 'fast-check';
import t, { type Test } from 'tap';
import { RtcpPacketConverter, RtcpSrPacket } from 'werift';
import { concatBytes } from '../bytes.ts';
import { RtcpCursor } from './rtcp-cursor.ts';
import { decodeRtcp } from './rtcp-decode.ts';
import {
  encodeFir,
  encodeGoodbye,
  encodeNack,
  encodePli,
  encodeReceiverReport,
  encodeRemb,
  encodeSenderReport,
  encodeSourceDescription,
} from './rtcp-encode.ts';
import type { ReportBlock, RtcpPacket, SenderInfo } from './rtcp-types.ts';

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}

const u32s = fc.integer({ min: 0, max: 0xffff_ffff });
const reports: fc.Arbitrary<ReportBlock[]> = fc.array(
  fc.record({
    ssrc: u32s,
    fractionLost: fc.integer({ min: 0, max: 255 }),
    cumulativeLost: fc.integer({ min: -0x80_0000, max: 0x7f_ffff }),
    extendedHighestSequence: u32s,
    jitter: u32s,
    lastSenderReport: u32s,
    delaySinceLastSenderReport: u32s,
  }),
  { maxLength: 31, size: 'max' },
);

function roundTrips<T>(
  t: Test,
  arbitrary: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decoded: (value: T) => RtcpPacket,
): void {
  fc.assert(
    fc.property(arbitrary, (value) => {
      t.same(decodeRtcp(encode(value)), [decoded(value)]);
    }),
    { numRuns: 50 },
  );
}

void t.test('round trips', (t) => {
  const info: fc.Arbitrary<SenderInfo> = fc.record({
    ssrc: u32s,
    ntp: fc.record({ seconds: u32s, fraction: u32s }),
    rtpTimestamp: u32s,
    packetCount: u32s,
    octetCount: u32s,
  });
  roundTrips(
    t,
    fc.tuple(info, reports),
    ([sender, blocks]) => encodeSenderReport(sender, blocks),
    ([sender, blocks]) => ({ type: 'sender-report', ...sender, reports: blocks }),
  );
  roundTrips(
    t,
    fc.tuple(u32s, reports),
    ([ssrc, blocks]) => encodeReceiverReport(ssrc, blocks),
    ([ssrc, blocks]) => ({ type: 'receiver-report', ssrc, reports: blocks }),
  );
  roundTrips(
    t,
    fc.tuple(u32s, fc.string({ minLength: 1, maxLength: 60 })),
    ([ssrc, cname]) => encodeSourceDescription(ssrc, cname),
    ([ssrc, cname]) => ({ type: 'source-description', cnames: [{ ssrc, cname }] }),
  );
  roundTrips(t, fc.array(u32s, { maxLength: 31, size: 'max' }), encodeGoodbye, (ssrcs) => ({ type: 'goodbye', ssrcs }));
  roundTrips(
    t,
    fc.tuple(u32s, u32s),
    ([a, b]) => encodePli(a, b),
    ([senderSsrc, mediaSsrc]) => ({ type: 'pli', senderSsrc, mediaSsrc }),
  );
  roundTrips(
    t,
    fc.tuple(u32s, u32s, fc.integer({ min: 0, max: 255 })),
    ([a, b, n]) => encodeFir(a, b, n),
    ([senderSsrc, ssrc, sequenceNumber]) => ({ type: 'fir', senderSsrc, requests: [{ ssrc, sequenceNumber }] }),
  );
  roundTrips(
    t,
    fc.tuple(
      u32s,
      fc.integer({ min: 0, max: 0x3_ffff }),
      fc.integer({ min: 0, max: 13 }),
      fc.array(u32s, { maxLength: 5 }),
    ),
    ([a, mantissa, exponent, ssrcs]) => encodeRemb(a, mantissa * 2 ** exponent, ssrcs),
    ([senderSsrc, mantissa, exponent, ssrcs]) => ({
      type: 'remb',
      senderSsrc,
      bitrate: mantissa * 2 ** exponent,
      ssrcs,
    }),
  );
  t.end();
});

void t.test('NACK: any set of losses, in order, across the wrap', (t) => {
  const steps = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 60, size: 'max' });
  roundTrips(
    t,
    fc.tuple(fc.integer({ min: 0, max: 0xffff }), steps).map(([start, list]) => {
      let at = start;
      return list.map((step) => (at = (at + step) & 0xffff));
    }),
    (lost) => encodeNack(1, 2, lost),
    (lost) => ({ type: 'nack', senderSsrc: 1, mediaSsrc: 2, lost }),
  );
  t.equal(encodeNack(1, 2, [65_535, 0, 15, 15, 16]).length, 20, '17 in a word; a repetition costs nothing');
  t.end();
});

void t.test('known bytes', (t) => {
  t.equal(hex(encodePli(0x00000001, 0xcafebabe)), '81ce000200000001cafebabe');
  t.equal(hex(encodeNack(1, 2, [100, 101, 116])), '81cd0003000000010000000200648001');
  t.equal(hex(encodeFir(1, 0xcafebabe, 7)), '84ce00040000000100000000cafebabe07000000');
  t.equal(
    hex(encodeRemb(1, 8_927_168, [0x4846_6cb2])),
    '8fce0005 00000001 00000000 52454d42 011a20df 48466cb2'.replaceAll(' ', ''),
  );
  t.equal(hex(encodeSourceDescription(1, 'ab')), '81ca0003 00000001 0102 6162 00000000'.replaceAll(' ', ''));
  t.equal(hex(encodeSourceDescription(1, 'a')), '81ca0002 00000001 0101 6100'.replaceAll(' ', ''));
  t.same(
    decodeRtcp(bytes('8fcd0006 00000001 00000002 00010001 00000000 20010400')),
    'length',
    'a feedback that is announced longer than it is',
  );
  t.match(decodeRtcp(bytes('8fcd0004 00000001 00000002 00010001 00000000')), [{ type: 'transport-cc', mediaSsrc: 2 }]);
  t.match(decodeRtcp(bytes('80cc0002 00000001 6e616d65')), [{ type: 'other', packetType: 204, format: 0 }]);
  t.end();
});

void t.test('source description: several chunks, other items, no end', (t) => {
  t.same(decodeRtcp(bytes('82ca0006 00000001 0102 6162 00000000 00000002 0301 78 0101 79 00 00')), [
    {
      type: 'source-description',
      cnames: [
        { ssrc: 1, cname: 'ab' },
        { ssrc: 2, cname: 'y' },
      ],
    },
  ]);
  t.same(decodeRtcp(bytes('81ca0002 00000001 01ff6162')), [], 'an item longer than the packet');
  t.end();
});

void t.test('the compound is checked as a whole', (t) => {
  const report = encodeReceiverReport(1, []);
  const cases: [Uint8Array, string][] = [
    [new Uint8Array(0), 'truncated'],
    [concatBytes([report, bytes('81ce')]), 'truncated'],
    [concatBytes([report, bytes('41ce0000')]), 'version'],
    [concatBytes([report, bytes('81ce0002 00000001')]), 'length'],
    [concatBytes([bytes('a0c90001 00000004'), report]), 'padding'],
    [bytes('a0c90001 00000000'), 'padding'],
    [bytes('a0c90001 00000008'), 'padding'],
    [bytes('a0c90001 00000003'), 'padding'],
  ];
  for (const [compound, error] of cases) t.equal(decodeRtcp(compound), error);
  const padded = concatBytes([report, bytes('a1cb0002 0000000a 00000004')]);
  t.same(decodeRtcp(padded), [
    { type: 'receiver-report', ssrc: 1, reports: [] },
    { type: 'goodbye', ssrcs: [10] },
  ]);
  const cursor = new RtcpCursor();
  t.notOk(cursor.next(), 'before start');
  t.equal(cursor.start(bytes('81ce')), 'truncated');
  t.notOk(cursor.next(), 'after an error');
  t.end();
});

void t.test('a packet too short for what it counts is left out, the rest stands', (t) => {
  const compound = concatBytes([
    bytes('85c80001 00000001'),
    bytes('81c90001 00000001'),
    bytes('81ce0001 00000001'),
    encodePli(1, 2),
  ]);
  t.same(decodeRtcp(compound), [{ type: 'pli', senderSsrc: 1, mediaSsrc: 2 }]);
  t.end();
});

void t.test('random bytes never throw', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100, size: 'max' }), fc.integer({ min: 190, max: 210 }), (body, type) => {
      const words = Math.floor(body.length / 4);
      const packet = new Uint8Array(4 + words * 4);
      packet.set([0x80 | ((body[0] ?? 0) & 0x3f), type, 0, words]);
      packet.set(body.subarray(0, words * 4), 4);
      decodeRtcp(packet);
      decodeRtcp(body);
    }),
    { numRuns: 2000 },
  );
  t.end();
});

void t.test('werift reads ours', (t) => {
  const block: ReportBlock = {
    ssrc: 5,
    fractionLost: 64,
    cumulativeLost: 1000,
    extendedHighestSequence: 70_000,
    jitter: 12,
    lastSenderReport: 0x12345678,
    delaySinceLastSenderReport: 0x10000,
  };
  const info: SenderInfo = {
    ssrc: 9,
    ntp: { seconds: 0xe0000000, fraction: 5 },
    rtpTimestamp: 77,
    packetCount: 3,
    octetCount: 4,
  };
  const compound = concatBytes([
    encodeSenderReport(info, [block]),
    encodeSourceDescription(9, 'cname'),
    encodePli(9, 5),
  ]);
  const theirs = RtcpPacketConverter.deSerialize(Buffer.from(compound));
  t.equal(theirs.length, 3);
  const report = theirs[0];
  if (!(report instanceof RtcpSrPacket)) throw new Error('no sender report');
  t.equal(report.ssrc, 9);
  t.match(report.senderInfo, { rtpTimestamp: 77, packetCount: 3, octetCount: 4 });
  t.match(report.reports[0], { ssrc: 5, fractionLost: 64, packetsLost: 1000, highestSequence: 70_000, jitter: 12 });
  t.end();
});
