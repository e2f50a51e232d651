import fc from 'fast-check';
import t from 'tap';
import {
  encodeTrunkControl,
  encodeTrunkJson,
  encodeTrunkMessage,
  packMeta,
  putTrunkDatagram,
  putTrunkDatagramWithMeta,
  readTrunkJson,
  readTrunkPart,
  readTrunkReason,
  encodeTrunkReason,
  TrunkDecoder,
  trunkLimits,
  trunkType,
  u32,
  unpackMeta,
  type Lane,
} from '../index.ts';

interface Frame {
  readonly flow: number;
  readonly payload: readonly number[];
}

/** What a decoder makes of the bytes when they come in pieces of these sizes, over and over. */
function framesOf(bytes: Uint8Array, sizes: readonly number[]): { frames: Frame[]; error: string | null } {
  const decoder = new TrunkDecoder();
  decoder.trust();
  const frames: Frame[] = [];
  const kept: { flow: number; payload: Uint8Array }[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1;
    // Fresh memory, as sockets give it.
    decoder.push(bytes.slice(at, at + size));
    while (decoder.next()) kept.push({ flow: decoder.flow, payload: decoder.payload });
    at += size;
  }
  // Read at the end: what was delivered may not have been overwritten meanwhile.
  for (const { flow, payload } of kept) frames.push({ flow, payload: [...payload] });
  return { frames, error: decoder.error };
}

const datagrams = fc.array(
  fc.record({ flow: fc.integer({ min: 1, max: 0xffff_ffff }), bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }) }),
  { minLength: 1, maxLength: 20 },
);
const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 });

t.test('frames come out as they went in, however the stream is cut', (t) => {
  fc.assert(
    fc.property(datagrams, sizes, (sent, cuts) => {
      const stream = new Uint8Array(sent.reduce((sum, { bytes }) => sum + 6 + bytes.length, 0));
      let at = 0;
      for (const { flow, bytes } of sent) at = putTrunkDatagram(stream, at, flow, bytes);
      const { frames, error } = framesOf(stream, cuts);
      t.equal(error, null);
      t.same(
        frames,
        sent.map(({ flow, bytes }) => ({ flow, payload: [...bytes] })),
      );
    }),
    { numRuns: 60 },
  );
  t.end();
});

t.test('random bytes give frames or an error, never a throw', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), sizes, (bytes, cuts) => {
      const { frames, error } = framesOf(bytes, cuts);
      return frames.every(({ payload }) => payload.length > 0) && (error === null || error === 'short-frame');
    }),
  );
  const stranger = new TrunkDecoder();
  stranger.push(new Uint8Array([0xff, 0xff, 0, 0, 0, 0]));
  t.notOk(stranger.next());
  t.equal(stranger.error, 'oversized-frame', 'who has proved nothing may not fill the memory');
  t.end();
});

t.test('meta keeps what a path decides by', (t) => {
  fc.assert(
    fc.property(
      fc.record({
        lane: fc.integer({ min: 0, max: 3 }) as fc.Arbitrary<Lane>,
        frameId: fc.nat(0xffff),
        keyFrame: fc.boolean(),
        discardable: fc.boolean(),
        deadlineMs: fc.nat(255).map((tens) => tens * 10),
      }),
      (meta) => {
        t.same(unpackMeta(packMeta(meta)), meta);
      },
    ),
    { numRuns: 100 },
  );
  const large = { lane: 3, frameId: 0xffff * 3, keyFrame: false, discardable: false, deadlineMs: 60_000 } as const;
  t.not(unpackMeta(packMeta(large)).frameId, 0, 'no frame becomes none');
  t.equal(unpackMeta(packMeta(large)).deadlineMs, 2550);
  const frame = new Uint8Array(20);
  t.equal(putTrunkDatagramWithMeta(frame, 0, 7, packMeta(large), new Uint8Array([1, 2])), 12);
  t.same(framesOf(frame.subarray(0, 12), [12]).frames[0]?.payload.slice(4), [1, 2]);
  t.end();
});

t.test('control: words, JSON, and messages in parts', (t) => {
  const decode = (bytes: Uint8Array): readonly number[] => framesOf(bytes, [1000]).frames[0]?.payload ?? [];
  const gone = Uint8Array.from(decode(encodeTrunkControl(trunkType.gone, [0xdead_beef])));
  t.equal(gone[0], trunkType.gone);
  t.equal(u32(gone, 1), 0xdead_beef);
  const open = Uint8Array.from(decode(encodeTrunkJson(trunkType.open, [5], { kind: 'udp' })));
  t.same(readTrunkJson(open.subarray(5)), { kind: 'udp' });
  t.equal(readTrunkJson(new Uint8Array([0x22])), null);
  t.equal(readTrunkJson(new TextEncoder().encode('[1]')), null);
  t.equal(readTrunkPart(new Uint8Array(3)), null);

  const long = { text: 'x'.repeat(100_000) };
  const parts = encodeTrunkMessage(trunkType.reply, 9, long).map((frame) => {
    const part = readTrunkPart(Uint8Array.from(framesOf(frame, [70_000]).frames[0]?.payload ?? []));
    if (part === null) throw new Error('no part');
    return part;
  });
  t.same(
    parts.map(({ id, isLast }) => [id, isLast]),
    [
      [9, false],
      [9, false],
      [9, false],
      [9, true],
    ],
  );
  t.same(readTrunkJson(Buffer.concat(parts.map(({ bytes }) => bytes))), long);
  t.throws(() => encodeTrunkMessage(trunkType.reply, 1, { text: 'x'.repeat(trunkLimits.maxMessageBytes) }), RangeError);
  t.equal(readTrunkReason(encodeTrunkReason('ü'.repeat(100))).length, 61, 'cut at a character');
  t.end();
});
