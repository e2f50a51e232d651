import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { FileFault } from './file-fault.ts';
import { OggOpusWriter, parseOggOpus } from './ogg-opus.ts';
import type { OggOpus } from './ogg-opus.ts';
import { encodeOggPage, oggFlag, parseOggPage } from './ogg-page.ts';
import { opusSamples } from './opus-packet.ts';

const clip = readFileSync(new URL('../../../media/clip.ogg', import.meta.url));

function sound(file: Uint8Array): OggOpus {
  const parsed = parseOggOpus(file);
  if (parsed instanceof FileFault) throw new Error(parsed.message);
  return parsed;
}

function faultOf(file: Uint8Array): string {
  const parsed = parseOggOpus(file);
  return parsed instanceof FileFault ? parsed.message : 'no fault';
}

/** 20 ms of CELT with `length` bytes. */
function packetOf(length: number): Uint8Array {
  const packet = new Uint8Array(length).fill(7);
  packet[0] = 0xf8;
  return packet;
}

function written(packets: readonly Uint8Array[]): Uint8Array {
  const writer = new OggOpusWriter(1);
  const pages = [writer.header(2)];
  for (const packet of packets) {
    const page = writer.add(packet);
    if (page !== null) pages.push(page);
  }
  pages.push(writer.end());
  return Buffer.concat(pages);
}

t.test('the clip: 6 s of 20 ms packets', (t) => {
  const opus = sound(clip);
  t.match(opus, { channels: 2, preSkip: 312 });
  t.ok(opus.durationMs >= 6000 && opus.durationMs <= 6040, `lasts ${String(opus.durationMs)} ms`);
  t.ok(opus.packets.every(({ samples, data }) => samples === 960 && data.length === 80));
  t.end();
});

t.test('what is written can be read, whatever the lengths', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 1300 }), { minLength: 1, maxLength: 300 }), (lengths) => {
      const packets = lengths.map(packetOf);
      const opus = sound(written(packets));
      t.same(
        opus.packets.map(({ data }) => data.length),
        lengths,
      );
      return opus.durationMs === lengths.length * 20;
    }),
    { numRuns: 30 },
  );
  t.end();
});

t.test('time that was lost stands in the granule position', (t) => {
  const writer = new OggOpusWriter(1);
  writer.header(1);
  t.equal(writer.add(packetOf(10)), null);
  const page = writer.add(packetOf(10), 4800);
  const granuleOf = (bytes: Uint8Array): bigint => {
    const parsed = parseOggPage(bytes, 0);
    return parsed instanceof FileFault ? -1n : parsed.page.granule;
  };
  t.ok(page !== null && granuleOf(page) === 960n, 'the page before the gap is closed');
  t.equal(granuleOf(writer.end()), 960n + 4800n + 960n);
  t.end();
});

t.test('a packet that spans pages, and a stream that is not ours between them', (t) => {
  const writer = new OggOpusWriter(9);
  const header = writer.header(1);
  const packet = packetOf(255 + 10);
  const page = { granule: 0n, serial: 9, sequence: 2 };
  const file = Buffer.concat([
    header,
    encodeOggPage({ ...page, flags: 0, lacing: Uint8Array.of(255), body: packet.subarray(0, 255) }),
    encodeOggPage({ ...page, serial: 8, flags: oggFlag.first, lacing: Uint8Array.of(1), body: Uint8Array.of(1) }),
    encodeOggPage({ ...page, flags: oggFlag.continued, lacing: Uint8Array.of(10), body: packet.subarray(255) }),
  ]);
  t.same([...(sound(file).packets[0]?.data ?? [])], [...packet]);
  t.end();
});

t.test('faults are named', (t) => {
  const good = written([packetOf(10)]);
  const page = {
    flags: 0,
    granule: 0n,
    serial: 1,
    sequence: 0,
    lacing: Uint8Array.of(4),
    body: Uint8Array.of(1, 2, 3, 4),
  };
  t.equal(faultOf(new Uint8Array(0)), 'it is empty');
  t.match(faultOf(new Uint8Array(40)), 'no Ogg page begins at byte 0');
  t.match(faultOf(good.subarray(0, -1)), 'cut off');
  t.match(faultOf(encodeOggPage(page)), 'not "OpusHead"');
  t.match(faultOf(encodeOggPage({ ...page, flags: oggFlag.continued })), 'does not go on where it should');
  t.match(
    faultOf(encodeOggPage({ ...page, lacing: Uint8Array.of(255), body: new Uint8Array(255) })),
    'last packet is cut off',
  );
  const flipped = Uint8Array.from(good);
  flipped[good.length - 1] = (good.at(-1) ?? 0) ^ 1;
  t.match(faultOf(flipped), 'wrong checksum');
  t.match(faultOf(written([])), 'no audio');
  t.match(faultOf(new OggOpusWriter(1).header(2)), 'no audio');
  t.match(faultOf(new OggOpusWriter(1).header(6)), '6 channels');
  t.end();
});

t.test('damaged files never throw', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(300), fc.nat(255)), { maxLength: 5 }), fc.nat(5000), (changes, length) => {
      const file = Uint8Array.from(clip.subarray(0, length));
      for (const [at, value] of changes) if (at < length) file[at] = value;
      parseOggOpus(file);
    }),
  );
  t.end();
});

t.test('RFC 6716 table 2: durations', (t) => {
  const toc = (configuration: number, code: number): number => (configuration << 3) | code;
  t.equal(opusSamples(Uint8Array.of(toc(0, 0))), 480);
  t.equal(opusSamples(Uint8Array.of(toc(3, 0))), 2880);
  t.equal(opusSamples(Uint8Array.of(toc(13, 1))), 1920);
  t.equal(opusSamples(Uint8Array.of(toc(28, 0))), 120);
  t.equal(opusSamples(Uint8Array.of(toc(31, 3), 3)), 2880);
  t.equal(opusSamples(Uint8Array.of(toc(31, 3), 7)), 0, 'more than 120 ms');
  t.equal(opusSamples(Uint8Array.of(toc(31, 3))), 0);
  t.equal(opusSamples(new Uint8Array(0)), 0);
  t.end();
});
