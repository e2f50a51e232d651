import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { concatBytes } from './bytes.ts';
import type { FrameError } from './frames.ts';
import {
  FrameBatch,
  FrameDecoder,
  encodeFrame,
  encodeFrameInto,
  fitsFrame,
  forEachFrame,
  frameHeaderBytes,
  maxDatagramBytes,
  maxMessageBytes,
} from './frames.ts';

const datagram = fc.uint8Array({ minLength: 1, maxLength: maxDatagramBytes });
const smallDatagram = fc.uint8Array({ minLength: 1, maxLength: 40 });

function decodeMessage(message: Uint8Array): { frames: Uint8Array[]; error: FrameError | null } {
  const frames: Uint8Array[] = [];
  const error = forEachFrame(message, (frame) => frames.push(frame.slice()));
  return { frames, error };
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const end = at + (sizes[i % sizes.length] ?? 1);
    chunks.push(bytes.slice(at, end));
    at = end;
  }
  return chunks;
}

/** Feeds chunks and overwrites each after it was drained, so that a view kept too long would show. */
function decodeStream(chunks: readonly Uint8Array[]): { frames: Uint8Array[]; error: FrameError | null } {
  const decoder = new FrameDecoder();
  const frames: Uint8Array[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk);
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) frames.push(frame.slice());
    if (decoder.heldBytes >= frameHeaderBytes + maxDatagramBytes) throw new Error('more than a partial frame is held');
    chunk.fill(0xee);
  }
  return { frames, error: decoder.error };
}

t.test('a frame is a 16-bit big-endian length and the datagram', (t) => {
  t.strictSame([...encodeFrame(Uint8Array.of(0x80, 0x60, 7))], [0, 3, 0x80, 0x60, 7]);
  const target = new Uint8Array(8);
  t.equal(encodeFrameInto(target, 1, Uint8Array.of(9, 8)), 5);
  t.strictSame([...target], [0, 0, 2, 9, 8, 0, 0, 0]);
  t.equal(encodeFrame(new Uint8Array(maxDatagramBytes)).length, 2050);
  t.end();
});

t.test('what cannot be framed is misuse', (t) => {
  const tooLarge = new Uint8Array(maxDatagramBytes + 1);
  t.equal(fitsFrame(tooLarge), false);
  t.equal(fitsFrame(new Uint8Array(0)), false);
  t.throws(() => encodeFrame(tooLarge), RangeError);
  t.throws(() => encodeFrame(new Uint8Array(0)), RangeError);
  t.throws(() => encodeFrameInto(new Uint8Array(4), 2, Uint8Array.of(1)), RangeError);
  t.end();
});

t.test('a message gives its frames as views, or names its fault', (t) => {
  const message = concatBytes([encodeFrame(Uint8Array.of(1)), encodeFrame(Uint8Array.of(2, 3))]);
  const owners: ArrayBufferLike[] = [];
  t.equal(
    forEachFrame(message, (frame) => owners.push(frame.buffer)),
    null,
  );
  t.ok(owners.length === 2 && owners.every((owner) => owner === message.buffer));
  const faults: [number[], FrameError, number][] = [
    [[], 'empty-message', 0],
    [[0], 'truncated-frame', 0],
    [[0, 2, 1], 'truncated-frame', 0],
    [[0, 1, 7, 0, 0], 'empty-frame', 1],
    [[0, 1, 7, 8, 1, 0], 'oversized-frame', 1],
    [[0, 1, 7, 0], 'truncated-frame', 1],
  ];
  for (const [bytes, error, delivered] of faults) {
    const decoded = decodeMessage(Uint8Array.from(bytes));
    t.equal(decoded.error, error, JSON.stringify(bytes));
    t.equal(decoded.frames.length, delivered);
  }
  t.equal(decodeMessage(new Uint8Array(maxMessageBytes + 1)).error, 'oversized-message');
  t.end();
});

t.test('any datagrams in one message come out again', (t) => {
  fc.assert(
    fc.property(fc.array(datagram, { minLength: 1, maxLength: 20 }), (datagrams) => {
      const { frames, error } = decodeMessage(concatBytes(datagrams.map(encodeFrame)));
      assert.deepEqual({ frames, error }, { frames: datagrams, error: null });
    }),
    { numRuns: 100 },
  );
  t.pass();
  t.end();
});

t.test('any chunking of a stream gives the same frames', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 4, arbitrary: smallDatagram }, datagram), { maxLength: 20 }),
      fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 3000 })), { minLength: 1 }),
      (datagrams, sizes) => {
        const { frames, error } = decodeStream(cut(concatBytes(datagrams.map(encodeFrame)), sizes));
        assert.deepEqual({ frames, error }, { frames: datagrams, error: null });
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
  t.end();
});

t.test('any chunking of a faulty stream gives the same frames and the same fault, which is final', (t) => {
  const fault = fc.constantFrom<[number[], FrameError]>([[0, 0], 'empty-frame'], [[0x08, 0x01], 'oversized-frame']);
  fc.assert(
    fc.property(
      fc.array(smallDatagram, { maxLength: 5 }),
      fault,
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (datagrams, [bytes, reason], sizes) => {
        const after = encodeFrame(Uint8Array.of(1, 2, 3));
        const stream = concatBytes([...datagrams.map(encodeFrame), Uint8Array.from(bytes), after]);
        const { frames, error } = decodeStream(cut(stream, sizes));
        assert.deepEqual({ frames, error }, { frames: datagrams, error: reason });
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
  t.end();
});

t.test('random bytes never throw, in a message or a stream', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 1, max: 700 }), (bytes, size) => {
      decodeMessage(bytes);
      decodeStream(cut(bytes, [size]));
    }),
    { numRuns: 1000 },
  );
  t.pass();
  t.end();
});

t.test('a decoder with frames left refuses the next chunk, and tells when a stream was cut', (t) => {
  const decoder = new FrameDecoder();
  decoder.push(concatBytes([encodeFrame(Uint8Array.of(1)), Uint8Array.of(0, 5, 1)]));
  t.strictSame([...(decoder.next() ?? [])], [1]);
  t.throws(() => {
    decoder.push(Uint8Array.of(1));
  }, /until it returns null/);
  t.equal(decoder.next(), null);
  t.equal(decoder.heldBytes, 3);
  t.equal(decoder.error, null);
  t.end();
});

t.test('a batch holds what fits one message, copies, and gives its memory away', (t) => {
  const batch = new FrameBatch();
  t.equal(batch.take(), null);
  const bytes = Uint8Array.of(1, 2, 3);
  t.ok(batch.add(bytes));
  bytes.fill(9);
  t.ok(batch.add(Uint8Array.of(4)));
  t.equal(batch.bytes, 8);
  const first = batch.take();
  t.strictSame([...(first ?? [])], [0, 3, 1, 2, 3, 0, 1, 4]);
  t.ok(batch.add(Uint8Array.of(5)));
  t.strictSame([...(first ?? [])], [0, 3, 1, 2, 3, 0, 1, 4], 'the message is not touched again');
  t.equal(batch.add(new Uint8Array(0)), false);
  t.equal(batch.add(new Uint8Array(maxDatagramBytes + 1)), false);
  t.equal(batch.take()?.length, 3);

  let added = 0;
  while (batch.add(new Uint8Array(maxDatagramBytes).fill(7))) added += 1;
  t.equal(added, Math.floor(maxMessageBytes / (frameHeaderBytes + maxDatagramBytes)));
  const full = batch.take() ?? new Uint8Array(0);
  t.ok(full.length <= maxMessageBytes && full.buffer.byteLength <= maxMessageBytes);
  t.equal(decodeMessage(full).frames.length, added);
  t.equal(batch.bytes, 0);
  t.ok(batch.add(new Uint8Array(maxDatagramBytes)), 'an empty batch takes every datagram');
  t.end();
});
