import fc from 'fast-check';
import t from 'tap';
import { concatBytes, ExtensionCursor, putU16, putU32, RtpView, Vp8Descriptor } from '../../tunnel-protocol/index.ts';
import { ArrayRoom } from '../testing/array-room.ts';
import { SourcePacket, type ForwardedCodec } from './source-packet.ts';
import { StreamRewriter, type SourceKey, type StreamRewriterOptions } from './stream-rewriter.ts';

const random = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => 0x11 * (i + 1));
/** What the random bytes above mean: first sequence number, timestamp, picture id, TL0PICIDX. */
const first = { sequenceNumber: 0x1122, timestamp: 0x55667788, pictureId: 0x19aa, tl0PicIdx: 0xbb };

/** A rewriter that gives each packet by itself. */
class PacketRewriter extends StreamRewriter {
  readonly #room = new ArrayRoom();

  packetOf(packet: SourcePacket, source: SourceKey, now: number): Uint8Array | null {
    return this.#written(super.rewrite(packet, source, now, this.#room));
  }

  repeated(packet: Uint8Array): Uint8Array | null {
    return this.#written(super.retransmit(packet, 101, this.#room) ? packet.length + 2 : 0);
  }

  #written(length: number): Uint8Array | null {
    if (length === 0) return null;
    if (length !== this.#room.packet.length || !this.#room.tidy) throw new Error('not what was opened');
    return this.#room.packet;
  }
}

function rewriter(options: Partial<StreamRewriterOptions> = {}): PacketRewriter {
  return new PacketRewriter({
    kind: 'video',
    ssrc: 0xaabbccdd,
    payloadType: 100,
    clockRate: 90_000,
    mid: '3',
    midExtensionId: 4,
    random,
    ...options,
  });
}

interface Made {
  readonly seq: number;
  readonly ts?: number;
  readonly marker?: boolean;
  readonly csrcs?: number;
  /** Elements of the one-byte form. */
  readonly extension?: readonly number[];
  readonly payload?: readonly number[];
  readonly padding?: number;
}

/** A source's packet; 0x20 is a payload that begins no VP8 frame. */
function rtp(made: Made): Uint8Array {
  const { seq, ts = 0, marker = false, csrcs = 0, extension = [], payload = [0, 1], padding = 0 } = made;
  const header = new Uint8Array(12 + csrcs * 4);
  header[0] = 0x80 | csrcs | (extension.length > 0 ? 0x10 : 0) | (padding > 0 ? 0x20 : 0);
  header[1] = (marker ? 0x80 : 0) | 96;
  putU16(header, 2, seq);
  putU32(header, 4, ts);
  putU32(header, 8, 0x01020304);
  const words = Math.ceil(extension.length / 4);
  const block = new Uint8Array(words === 0 ? 0 : 4 + words * 4);
  if (words > 0) {
    putU16(block, 0, 0xbede);
    putU16(block, 2, words);
    block.set(extension, 4);
  }
  const tail = new Uint8Array(padding);
  if (padding > 0) tail[padding - 1] = padding;
  return concatBytes([header, block, Uint8Array.from(payload), tail]);
}

function read(packet: Uint8Array, codec: ForwardedCodec = 'vp8'): SourcePacket {
  const source = new SourcePacket();
  const error = source.read(packet, codec);
  if (error !== null) throw new Error(error);
  return source;
}

function key(made: Made): SourcePacket {
  return read(rtp({ payload: [0x10, 0], ...made }));
}

function delta(made: Made): SourcePacket {
  return read(rtp(made));
}

function paddingOnly(seq: number): SourcePacket {
  return read(rtp({ seq, payload: [], padding: 200 }));
}

function view(packet: Uint8Array | null): RtpView {
  const parsed = new RtpView();
  if (packet === null || parsed.parse(packet) !== null) throw new Error('no packet');
  return parsed;
}

function payloadOf(packet: Uint8Array | null): Uint8Array {
  const { payloadOffset, payloadLength, packet: bytes } = view(packet);
  return bytes.slice(payloadOffset, payloadOffset + payloadLength);
}

function descriptor(packet: Uint8Array | null): Vp8Descriptor {
  const { payloadOffset, payloadLength, packet: bytes } = view(packet);
  const parsed = new Vp8Descriptor();
  if (!parsed.parse(bytes, payloadOffset, payloadLength)) throw new Error('no descriptor');
  return parsed;
}

void t.test('video begins with a key frame, audio with the next packet', (t) => {
  const video = rewriter();
  t.equal(video.packetOf(key({ seq: 1 }), 'a', 0), null, 'nobody was chosen');
  t.notOk(video.needsKeyFrame);
  t.equal(video.mapTimestamp(0), null);
  video.switchTo('a');
  t.ok(video.needsKeyFrame);
  t.equal(video.packetOf(delta({ seq: 1 }), 'a', 0), null);
  t.equal(video.packetOf(key({ seq: 2 }), 'b', 0), null, "another's key frame");
  t.equal(video.packetOf(paddingOnly(2), 'a', 0), null);
  t.equal(view(video.packetOf(key({ seq: 3, ts: 5000 }), 'a', 0)).sequenceNumber, first.sequenceNumber);
  t.notOk(video.needsKeyFrame);
  t.equal(video.current, 'a');
  t.equal(video.packetOf(delta({ seq: 1 }), 'a', 0), null, 'from before the switch');

  const audio = rewriter({ kind: 'audio' });
  audio.switchTo('a');
  t.notOk(audio.needsKeyFrame);
  t.equal(
    audio.packetOf(read(rtp({ seq: 9, payload: [], padding: 4 }), 'audio'), 'a', 0),
    null,
    'but not with padding',
  );
  t.not(audio.packetOf(read(rtp({ seq: 10 }), 'audio'), 'a', 0), null);
  t.end();
});

void t.test('the header is ours, the marker and the payload are theirs', (t) => {
  const stream = rewriter();
  stream.switchTo('a');
  const source = rtp({
    seq: 700,
    ts: 1000,
    marker: true,
    csrcs: 2,
    extension: [0x10, 0xaa, 0x20, 0xbb],
    payload: [0x10, 0, 5, 6],
    padding: 3,
  });
  const before = source.slice();
  const out = view(stream.packetOf(read(source), 'a', 0));
  t.match(out, {
    marker: true,
    payloadType: 100,
    ssrc: 0xaabbccdd,
    sequenceNumber: first.sequenceNumber,
    timestamp: first.timestamp,
    csrcCount: 0,
    paddingLength: 0,
  });
  t.same(payloadOf(out.packet), [0x10, 0, 5, 6]);
  t.equal((out.packet[0] as number) & 0x20, 0, 'the padding bit is clear');
  const cursor = new ExtensionCursor();
  cursor.start(out);
  t.ok(cursor.next());
  t.equal(cursor.id, 4);
  t.same(out.packet.subarray(cursor.offset, cursor.offset + cursor.length), [0x33], 'MID "3"');
  t.notOk(cursor.next(), 'and no other extension');
  t.same(source, before, 'the input is borrowed');
  t.end();
});

void t.test('mapped extensions pass', (t) => {
  const stream = rewriter({ kind: 'audio', midExtensionId: 0 });
  stream.switchTo('a', [{ from: 1, to: 7 }]);
  const source = read(rtp({ seq: 1, extension: [0x10, 0xaa, 0x20, 0xbb] }), 'audio');
  const cursor = new ExtensionCursor();
  let out = view(stream.packetOf(source, 'a', 0));
  t.ok(cursor.find(out, 7));
  t.equal(out.packet[cursor.offset], 0xaa);
  t.equal(out.extensionProfile, 0xbede);
  t.equal(view(stream.packetOf(read(rtp({ seq: 2 }), 'audio'), 'a', 0)).extensionProfile, -1, 'nothing to carry');

  stream.switchTo('b', [{ from: 2, to: 200 }]);
  stream.midExtensionId = 9;
  const other = read(rtp({ seq: 1, extension: [0x10, 0xaa, 0x20, 0xbb] }), 'audio');
  out = view(stream.packetOf(other, 'b', 0));
  t.equal(out.extensionProfile, 0x1000, 'an id above 14 takes the two-byte form');
  t.ok(cursor.find(out, 200));
  t.equal(out.packet[cursor.offset], 0xbb);
  t.ok(cursor.find(out, 9));
  t.notOk(cursor.find(out, 7));
  t.throws(() => {
    stream.midExtensionId = 256;
  }, RangeError);
  t.throws(() => rewriter({ mid: 'x'.repeat(256) }), RangeError);
  t.end();
});

void t.test('padding-only packets leave no gap, lost ones do', (t) => {
  const stream = rewriter();
  stream.switchTo('a');
  const sent = (packet: SourcePacket): number | null => {
    const out = stream.packetOf(packet, 'a', 0);
    return out === null ? null : view(out).sequenceNumber - first.sequenceNumber;
  };
  t.equal(sent(key({ seq: 65_535 })), 0);
  t.equal(sent(paddingOnly(0)), null);
  t.equal(sent(paddingOnly(1)), null);
  t.equal(sent(delta({ seq: 2 })), 1);
  t.equal(sent(delta({ seq: 5 })), 4, '3 and 4 are missing');
  t.equal(sent(delta({ seq: 4 })), 3, 'late');
  t.equal(sent(delta({ seq: 4 })), null, 'twice');
  const filler = stream.packetOf(paddingOnly(3), 'a', 0);
  t.equal(view(filler).sequenceNumber - first.sequenceNumber, 2, 'padding too late to be swallowed fills its gap');
  t.equal(view(filler).payloadLength, 0);
  t.equal(view(filler).paddingLength, 0);
  t.end();
});

void t.test('over a switch: one numbering, wall-clock timestamps', (t) => {
  const stream = rewriter();
  stream.switchTo('a');
  stream.packetOf(key({ seq: 100, ts: 1_000_000 }), 'a', 50);
  stream.packetOf(delta({ seq: 101, ts: 1_003_000 }), 'a', 84);
  t.equal(view(stream.packetOf(delta({ seq: 102, ts: 1_003_000 }), 'a', 90)).timestamp, first.timestamp + 3000);
  t.equal(stream.mapTimestamp(1_003_000), first.timestamp + 3000);

  stream.switchTo('b');
  t.equal(stream.pending, 'b');
  t.not(stream.packetOf(delta({ seq: 104, ts: 1_006_000 }), 'a', 117), null, 'the old one goes on until then');
  t.not(stream.packetOf(delta({ seq: 103, ts: 1_003_000 }), 'a', 119), null, 'and its late packets count for nothing');
  const out = view(stream.packetOf(key({ seq: 9, ts: 77 }), 'b', 157));
  t.equal(out.sequenceNumber, first.sequenceNumber + 5);
  t.equal(out.timestamp, first.timestamp + 6000 + 3600, '40 ms after the last new timestamp');
  t.equal(stream.mapTimestamp(77 + 90), out.timestamp + 90);
  t.equal(stream.packetOf(delta({ seq: 105 }), 'a', 160), null, 'the old one is out');

  stream.switchTo('a');
  stream.switchTo('b');
  t.equal(stream.pending, null, 'taken back');
  stream.switchTo('a');
  const back = view(stream.packetOf(key({ seq: 300, ts: 5 }), 'a', 100));
  t.equal(back.timestamp, out.timestamp + 1, 'a clock that stands still does not turn timestamps back');
  t.end();
});

void t.test('stop, then the same source again', (t) => {
  const stream = rewriter();
  stream.switchTo('a');
  stream.packetOf(key({ seq: 1 }), 'a', 0);
  stream.stop();
  t.equal(stream.packetOf(delta({ seq: 2 }), 'a', 0), null);
  stream.switchTo('a');
  t.ok(stream.needsKeyFrame);
  t.equal(stream.packetOf(delta({ seq: 30_000 }), 'a', 0), null);
  t.equal(view(stream.packetOf(key({ seq: 50_000 }), 'a', 0)).sequenceNumber, first.sequenceNumber + 1);
  t.end();
});

void t.test('VP8 picture ids and TL0PICIDX go on over switches', (t) => {
  const stream = rewriter();
  /** Descriptor with 15-bit picture id, TL0PICIDX and TID. */
  const frame = (pictureId: number, tl0: number, isKey: boolean): number[] => {
    return [0x90, 0xe0, 0x80 | (pictureId >> 8), pictureId & 0xff, tl0, 0, isKey ? 0 : 1, 0x5a];
  };
  stream.switchTo('a');
  const ids = (packet: Uint8Array | null): [number, number] => {
    const { pictureId, tl0PicIdx } = descriptor(packet);
    return [pictureId - first.pictureId, tl0PicIdx - first.tl0PicIdx];
  };
  t.same(ids(stream.packetOf(key({ seq: 1, payload: frame(0x7fff, 255, true) }), 'a', 0)), [0, 0]);
  t.same(ids(stream.packetOf(delta({ seq: 2, payload: frame(1, 1, false) }), 'a', 0)), [2, 2]);
  t.same(ids(stream.packetOf(delta({ seq: 4, payload: frame(2, 1, false) }), 'a', 0)), [3, 2]);
  t.same(ids(stream.packetOf(delta({ seq: 3, payload: frame(1, 1, false) }), 'a', 0)), [2, 2], 'late');

  stream.switchTo('b');
  const other = stream.packetOf(key({ seq: 1, payload: frame(5, 77, true) }), 'b', 0);
  t.same(ids(other), [4, 3]);
  t.equal(payloadOf(other).at(-1), 0x5a);

  stream.switchTo('c');
  const short = [0x90, 0xc0, 0x7f, 9, 0, 0x5b];
  const widened = stream.packetOf(key({ seq: 1, payload: short }), 'c', 0);
  t.same(ids(widened), [5, 4]);
  t.match(descriptor(widened), { pictureIdBits: 15, keyFrame: true });
  t.equal(payloadOf(widened).length, short.length + 1, '7 bits became 15');
  t.equal(payloadOf(widened).at(-1), 0x5b);
  t.same(ids(stream.packetOf(delta({ seq: 2, payload: [0x90, 0xc0, 0, 10, 1] }), 'c', 0)), [6, 5]);

  stream.switchTo('d');
  t.same(payloadOf(stream.packetOf(key({ seq: 1, payload: [0x10, 0, 7] }), 'd', 0)), [0x10, 0, 7], 'none stays none');
  t.end();
});

void t.test('other codecs pass as they are', (t) => {
  const stream = rewriter();
  stream.switchTo('a');
  const packet = read(rtp({ seq: 1, payload: [0x65, 1, 2, 3] }), 'h264');
  t.same(payloadOf(stream.packetOf(packet, 'a', 0)), [0x65, 1, 2, 3]);
  t.end();
});

void t.test('RTX', (t) => {
  t.equal(rewriter().repeated(new Uint8Array(20)), null, 'without an RTX stream');
  const stream = rewriter({ rtxSsrc: 0x99 });
  stream.switchTo('a');
  const original = stream.packetOf(key({ seq: 1, ts: 5, marker: true, payload: [0x10, 0, 7] }), 'a', 0);
  if (original === null) throw new Error('nothing to repeat');
  const repeated = view(stream.repeated(original));
  t.match(repeated, { ssrc: 0x99, payloadType: 101, marker: true, timestamp: first.timestamp, sequenceNumber: 0x3344 });
  t.same(payloadOf(repeated.packet), [0x11, 0x22, 0x10, 0, 7], 'original sequence number, then the payload');
  t.equal(repeated.extensionLength, view(original).extensionLength);
  t.equal(view(stream.repeated(original)).sequenceNumber, 0x3345);
  t.end();
});

void t.test('a packet that cannot be forwarded is refused with a reason', (t) => {
  const source = new SourcePacket();
  t.equal(source.read(new Uint8Array(5), 'vp8'), 'truncated');
  t.equal(source.read(rtp({ seq: 1, payload: [0x90] }), 'vp8'), 'payload');
  t.equal(source.read(rtp({ seq: 1, payload: [0x90] }), 'audio'), null);
  t.end();
});

void t.test('any loss, reordering, duplication, padding and switches: one strictly consistent numbering', (t) => {
  /** A delivery: from which source, how far from its newest packet, whether to ask for the other source first. */
  const delivery = fc.record({
    source: fc.integer({ min: 0, max: 1 }),
    step: fc.oneof(fc.constant(1), fc.integer({ min: -6, max: 4 })),
    switchTo: fc.oneof(
      { weight: 15, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 1 }) },
    ),
  });
  let forwarded = 0;
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 2, maxLength: 2 }),
      fc.array(delivery, { minLength: 100, maxLength: 250, size: 'max' }),
      (starts, deliveries) => {
        const stream = rewriter();
        stream.switchTo(0);
        const newest = [0, 0];
        /** By extended outgoing number, what was sent. */
        const sent = new Map<number, { epoch: number; place: number }>();
        /** Places of padding that was swallowed, by epoch: they alone may leave no gap. */
        const swallowed: Set<number>[] = [new Set()];
        let epoch = 0;
        let given = new Set<number>();
        let current: unknown = null;
        let highest = -1;
        let timestamp = -1;
        let now = 0;
        for (const { source, step, switchTo } of deliveries) {
          now += 7;
          if (switchTo !== null) stream.switchTo(switchTo);
          const place = (newest[source] as number) + step;
          newest[source] = Math.max(newest[source] as number, place);
          // What a packet is depends on its number alone, so that a duplicate is one.
          const seq = ((starts[source] as number) + place) & 0xffff;
          const ts = place * 630;
          const isPadding = place % 5 === 3;
          const made = isPadding ? paddingOnly(seq) : place % 7 === 0 ? key({ seq, ts }) : delta({ seq, ts });
          const out = stream.packetOf(made, source, now);
          if (stream.current !== current) {
            current = stream.current;
            epoch++;
            swallowed.push(new Set());
            given = new Set();
          }
          if (source === current) {
            if (isPadding && out === null && !given.has(place)) swallowed[epoch]?.add(place);
            given.add(place);
          }
          if (out === null) continue;
          const parsed = view(out);
          const ahead = ((parsed.sequenceNumber - (first.sequenceNumber + highest)) << 16) >> 16;
          const number = highest + ahead;
          t.notOk(sent.has(number), 'no number twice');
          sent.set(number, { epoch, place });
          if (ahead > 0) {
            const elapsed = (parsed.timestamp - first.timestamp) >>> 0;
            t.ok(elapsed >= timestamp, 'timestamps never turn back');
            timestamp = elapsed;
            highest = number;
          }
        }
        // In the order of outgoing numbers, epochs follow each other, and within one the source's distances are kept.
        let last = { epoch: 0, place: 0 };
        let lastNumber = -1;
        for (const [number, packet] of [...sent].sort(([a], [b]) => a - b)) {
          if (packet.epoch === last.epoch) {
            const closed = [...(swallowed[packet.epoch] ?? [])].filter((p) => p > last.place && p < packet.place);
            t.equal(number - lastNumber, packet.place - last.place - closed.length);
            t.ok(packet.place > last.place, 'the order is kept');
          } else {
            t.ok(packet.epoch > last.epoch);
            t.equal(number, lastNumber + 1, 'a switch leaves no gap');
          }
          last = packet;
          lastNumber = number;
        }
        forwarded += sent.size;
      },
    ),
    { numRuns: 100 },
  );
  t.ok(forwarded > 1000, 'it was about something');
  t.comment(`${String(forwarded)} packets`);
  t.end();
});
