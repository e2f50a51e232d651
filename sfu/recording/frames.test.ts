/** Frames of what Chromium 156 sends (testdata/chromium-156-payloads.json), of what is made by hand, and of anything at all. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { concatBytes, putU32, type VideoCodec } from '../../tunnel-protocol/index.ts';
import { testdata } from '../testing/testdata.ts';
import { videoDetails } from './codec-details.ts';
import { FrameBuffer } from './frame-buffer.ts';
import { FrameAssembler, type EncodedFrame } from './frames.ts';
import { framePayloads, leb128, maxFrameBytes } from './payloads.ts';

interface Packet {
  readonly timestamp: number;
  readonly marker: boolean;
  readonly payload: string;
}

const captured = JSON.parse(readFileSync(testdata('chromium-156-payloads.json'), 'utf8')) as Record<
  VideoCodec,
  Packet[]
>;
const codecs = Object.keys(captured) as VideoCodec[];
const rtpHeaderBytes = 12;

function packetOf({ timestamp, marker, payload }: Packet): Uint8Array {
  const header = new Uint8Array(rtpHeaderBytes);
  header[1] = marker ? 0x80 : 0;
  putU32(header, 4, timestamp);
  return concatBytes([header, Buffer.from(payload, 'hex')]);
}

/** `lost` are indexes of packets that do not come. */
function assembled(codec: VideoCodec, packets: readonly Packet[], lost: readonly number[] = []): EncodedFrame[] {
  const frames: EncodedFrame[] = [];
  const assembler = new FrameAssembler(codec, (frame) => frames.push(frame));
  for (const [index, packet] of packets.entries()) {
    if (lost.includes(index)) assembler.lost();
    else assembler.packet(packetOf(packet), rtpHeaderBytes);
  }
  return frames;
}

t.test('what Chromium sends', (t) => {
  for (const codec of codecs) {
    const packets = captured[codec];
    const timestamps = [...new Set(packets.map(({ timestamp }) => timestamp))];
    const frames = assembled(codec, packets);
    t.strictSame(
      frames.map(({ timestamp }) => timestamp),
      timestamps,
      `${codec}: every frame`,
    );
    t.strictSame(
      frames.map(({ keyFrame }) => keyFrame),
      timestamps.map((_, at) => at === 0),
      `${codec}: the first is key`,
    );
    const details = videoDetails(codec, frames[0]?.data ?? new Uint8Array(0));
    t.match(details, { width: 640, height: 360 }, codec);
    t.equal(details?.codecPrivate === null, codec === 'vp8' || codec === 'vp9');
    t.equal(
      videoDetails(codec, frames[1]?.data ?? new Uint8Array(0)),
      null,
      `${codec}: no other frame says how large it is`,
    );

    const ofFirst = packets.filter(({ timestamp }) => timestamp === timestamps[0]).length;
    // H.264's parameter sets, which are the first packet, may have come earlier.
    const first = codec === 'h264' ? 1 : 0;
    t.strictSame(assembled(codec, packets, [first]), [], `${codec}: without its beginning a key frame is of no use`);
    t.strictSame(assembled(codec, packets, [ofFirst - 1]), [], `${codec}: nor with half a key frame`);
    const again = [...packets, ...packets.map((packet) => ({ ...packet, timestamp: packet.timestamp + 90_000 }))];
    t.strictSame(
      assembled(codec, again, [ofFirst]).map(({ keyFrame }) => keyFrame),
      [true, true, ...timestamps.slice(1).map(() => false)],
      `${codec}: after a loss it goes on with the next key frame`,
    );
  }
  t.end();
});

t.test('a frame without its marker ends where the next one begins', (t) => {
  for (const codec of codecs) {
    const packets = captured[codec].map((packet) => ({ ...packet, marker: false }));
    t.strictSame(assembled(codec, packets).map(({ data }) => data), assembled(codec, captured[codec]).slice(0, -1).map(({ data }) => data)); // prettier-ignore
  }
  t.end();
});

t.test('H.264: units behind their lengths, however they came', (t) => {
  const wanted = '000000026742' + '0000000268ce' + '0000000465888081';
  for (const [why, payloads] of [
    ['alone', ['6742', '68ce', '65888081']],
    ['in one packet', ['78 0002 6742 0002 68ce 0004 65888081']],
    ['in fragments', ['6742', '68ce', '7c85 88', '7c05 80', '7c45 81']],
  ] as const) {
    const maker = framePayloads('h264');
    for (const payload of payloads) t.ok(maker.add(Buffer.from(payload.replaceAll(' ', ''), 'hex')), why);
    t.equal(Buffer.from(maker.take() ?? []).toString('hex'), wanted, why);
  }
  for (const [why, payloads] of [
    ['a fragment without a beginning', ['7c05 80']],
    ['a beginning in a beginning', ['7c85 88', '7c85 88']],
    ['another unit before the end', ['7c85 88', '6742']],
    ['a length that lies', ['78 0009 6742']],
    ['an empty unit', ['78 0000']],
    ['a type that no fragment can have', ['7c9c 80']],
    ['a type of other formats', ['7d00 80']],
    ['a second slice without the first', ['6742', '65408081']],
    ['nothing', ['']],
  ] as const) {
    const maker = framePayloads('h264');
    const taken = payloads.map((payload) => maker.add(Buffer.from(payload.replaceAll(' ', ''), 'hex')));
    t.equal(taken.at(-1), false, why);
    maker.take();
    t.ok(maker.add(Buffer.from('6742', 'hex')), 'the next frame is another one');
  }
  t.end();
});

t.test('AV1: units with their sizes, without delimiters', (t) => {
  for (const [why, payloads, wanted] of [
    ['counted', ['20 03 0a1122 30aa'], '0a 01 22' + '3200'],
    ['with sizes each', ['00 02 0811 02 30bb'], '0a0111' + '3201bb'],
    ['with a delimiter', ['20 02 1200 0811'], '0a0111'],
    ['in two packets', ['50 0811', '90 22'], '0a021122'],
    ['with an extension', ['10 0c20 11'], '0e200111'],
  ] as const) {
    const maker = framePayloads('av1');
    const added = payloads.every((payload) => maker.add(Buffer.from(payload.replaceAll(' ', ''), 'hex')));
    if (why === 'counted') {
      t.notOk(added, 'its own size is larger than it');
      continue;
    }
    t.ok(added, why);
    t.equal(Buffer.from(maker.take() ?? []).toString('hex'), wanted.replaceAll(' ', ''), why);
  }
  for (const payload of ['90 22', '00 09 0811', '00 ffffffff 08', '30 01 08 11', '10']) {
    t.notOk(framePayloads('av1').add(Buffer.from(payload.replaceAll(' ', ''), 'hex')), payload);
  }
  t.strictSame(leb128(Uint8Array.of(0xe5, 0x8e, 0x26), 0), { value: 624_485, end: 3 });
  t.equal(leb128(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x01), 0), null);
  t.end();
});

t.test('however small the pieces are, a frame takes no more memory than it may have bytes', (t) => {
  const units = 400;
  const aggregated = Buffer.concat([Buffer.of(0x78), ...Array.from({ length: units }, () => Buffer.of(0, 1, 0x46))]);
  const obus = Buffer.concat([Buffer.of(0), ...Array.from({ length: units }, () => Buffer.of(1, 0x30))]);
  for (const [codec, payload, producedBytes] of [
    ['h264', aggregated, 5 * units],
    ['av1', obus, 2 * units],
  ] as const) {
    const maker = framePayloads(codec);
    let packets = 0;
    while (maker.add(payload)) packets++;
    t.ok(packets >= Math.floor(maxFrameBytes / producedBytes), `${codec}: ${String(packets)} packets, and no more`);
    t.notOk(maker.add(payload));
    t.ok((maker.take()?.length ?? 0) <= maxFrameBytes);
  }
  const buffer = new FrameBuffer(1024 * 1024);
  t.ok(buffer.append(new Uint8Array(1024 * 1024)));
  t.notOk(buffer.append(Uint8Array.of(1)) || buffer.appendByte(1), 'it is full');
  t.equal(buffer.take().length, 1024 * 1024);
  t.equal(buffer.capacity, 0, 'so much is not kept');
  t.end();
});

t.test('any payloads at all: no throw, and no frame larger than it may be', (t) => {
  const payload = fc.oneof(
    fc.uint8Array({ maxLength: 60, size: 'max' }),
    // Changed at some places, what Chromium sends gets further than what is made up.
    fc
      .tuple(fc.constantFrom(...codecs), fc.nat(), fc.array(fc.tuple(fc.nat(40), fc.nat(255))))
      .map(([codec, at, changes]) => {
        const packets = captured[codec];
        const bytes = Uint8Array.from(Buffer.from(packets[at % packets.length]?.payload ?? '', 'hex'));
        for (const [where, value] of changes) bytes[where % bytes.length] = value;
        return bytes;
      }),
  );
  const step = fc.record({ payload, timestamp: fc.nat(3), marker: fc.boolean(), lost: fc.boolean() });
  fc.assert(
    fc.property(fc.constantFrom(...codecs), fc.array(step), (codec, steps) => {
      let whole = true;
      const assembler = new FrameAssembler(codec, ({ data }) => {
        whole &&= data.length > 0 && data.length <= maxFrameBytes;
        videoDetails(codec, data);
      });
      for (const { payload, timestamp, marker, lost } of steps) {
        if (lost) assembler.lost();
        const text = Buffer.from(payload).toString('hex');
        assembler.packet(packetOf({ timestamp, marker, payload: text }), rtpHeaderBytes);
      }
      return whole;
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.constantFrom(...codecs), fc.uint8Array({ maxLength: 200, size: 'max' }), (codec, bytes) => {
      const details = videoDetails(codec, bytes);
      return (
        details === null || (details.width > 0 && details.height > 0 && (details.codecPrivate?.length ?? 0) < 4096)
      );
    }),
    { numRuns: 2000 },
  );
  t.end();
});

t.test('parameter sets that are far too large are none', (t) => {
  const h264 = assembled('h264', captured.h264)[0]?.data ?? new Uint8Array(0);
  const sps = new Uint8Array(70_004);
  putU32(sps, 0, 70_000);
  sps.set(h264.subarray(4, 12), 4);
  t.equal(videoDetails('h264', concatBytes([sps, h264.subarray(4 + 24)])), null);
  const av1 = concatBytes([Uint8Array.of(0x0a, 0xf0, 0xa2, 0x04), new Uint8Array(70_000)]);
  t.equal(videoDetails('av1', av1), null);
  t.end();
});

t.test('of sound every packet is a frame', (t) => {
  const frames: EncodedFrame[] = [];
  const assembler = new FrameAssembler('audio', (frame) => frames.push(frame));
  assembler.packet(packetOf({ timestamp: 1, marker: false, payload: '7801' }), rtpHeaderBytes);
  assembler.lost();
  assembler.packet(packetOf({ timestamp: 2, marker: false, payload: '' }), rtpHeaderBytes);
  assembler.packet(packetOf({ timestamp: 3, marker: true, payload: '7802' }), rtpHeaderBytes);
  t.strictSame(frames.map(({ timestamp, keyFrame }) => [timestamp, keyFrame]), [[1, true], [3, true]]); // prettier-ignore
  t.end();
});
