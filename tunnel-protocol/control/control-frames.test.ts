import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import type { ControlFrame } from './control-frames.ts';
import { clipReason, decodeControlFrame, encodeControlFrame } from './control-frames.ts';
import { controlErrors } from './errors.ts';
import { controlLimits } from './limits.ts';

interface Vectors {
  readonly valid: readonly { readonly hex: string; readonly frame: Record<string, unknown> }[];
  /** Decoded, but never encoded so: longer layouts and reserved bits of later revisions, and ignorable types. */
  readonly tolerated: readonly { readonly hex: string; readonly frame: Record<string, unknown> }[];
  readonly invalid: readonly { readonly hex: string; readonly reason: string }[];
}

const vectorsUrl = new URL('../../../tunnel-protocol/testdata/control-frames.json', import.meta.url);
const vectors = JSON.parse(readFileSync(vectorsUrl, 'utf8')) as Vectors;

const fromHex = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** The payload of a signal vector stands as text. */
function readable(frame: ReturnType<typeof decodeControlFrame>): unknown {
  if (typeof frame === 'string' || frame.type !== 'signal') return frame;
  return { ...frame, payload: Buffer.from(frame.payload).toString('utf8') };
}

function encodable(frame: Record<string, unknown>): ControlFrame {
  const { payload } = frame;
  return (typeof payload === 'string' ? { ...frame, payload: Buffer.from(payload) } : frame) as unknown as ControlFrame;
}

t.test('vectors, both ways', (t) => {
  for (const { hex, frame } of vectors.valid) {
    t.strictSame(readable(decodeControlFrame(fromHex(hex))), frame, hex);
    t.equal(toHex(encodeControlFrame(encodable(frame))), hex.replaceAll(' ', ''), hex);
  }
  for (const { hex, frame } of vectors.tolerated) t.strictSame(readable(decodeControlFrame(fromHex(hex))), frame, hex);
  for (const { hex, reason } of vectors.invalid) t.equal(decodeControlFrame(fromHex(hex)), reason, hex);
  t.end();
});

t.test('limits of signal and close', (t) => {
  const full: ControlFrame = {
    type: 'signal',
    first: true,
    last: true,
    sequence: 1,
    payload: new Uint8Array(controlLimits.maxFragmentBytes),
  };
  t.equal(encodeControlFrame(full).length, controlLimits.maxFrameBytes);
  t.equal(decodeControlFrame(new Uint8Array(controlLimits.maxFrameBytes + 1).fill(0xf5)), 'malformed');
  const over = new Uint8Array(controlLimits.maxFragmentBytes + 1);
  t.throws(() => encodeControlFrame({ ...full, payload: over }), RangeError);
  t.throws(() => encodeControlFrame({ ...full, payload: new Uint8Array(0) }), RangeError);
  t.equal(encodeControlFrame({ type: 'close', wire: 4000, reason: 'x'.repeat(123) }).length, 126);
  t.throws(() => encodeControlFrame({ type: 'close', wire: 4000, reason: 'x'.repeat(124) }), RangeError);
  t.equal(decodeControlFrame(Uint8Array.from([0xf6, 0x0f, 0xa0, ...new Uint8Array(124).fill(0x78)])), 'malformed');
  t.end();
});

t.test('of a list of edges that makes no sense, as much as does is taken', (t) => {
  const decode = (text: string) => decodeControlFrame(Uint8Array.from([0xfe, ...Buffer.from(text, 'latin1')]));
  t.strictSame(decode(''), { type: 'edges', edges: [] });
  t.strictSame(decode('\n\nhttps://b.example\n'), { type: 'edges', edges: ['https://b.example'] });
  t.strictSame(decode('\xff'), { type: 'edges', edges: [] });
  t.strictSame(decode(`${'x'.repeat(301)}\ny`), { type: 'edges', edges: ['y'] });
  t.strictSame(decode('y\n'.repeat(99)), { type: 'edges', edges: new Array<string>(16).fill('y') });
  const tooMany = Array.from({ length: 17 }, () => 'https://b.example');
  t.throws(() => encodeControlFrame({ type: 'edges', edges: tooMany }), RangeError);
  t.throws(() => encodeControlFrame({ type: 'edges', edges: ['x'.repeat(2048)] }), RangeError);
  t.end();
});

t.test('a reason is cut at a character', (t) => {
  t.equal(clipReason('short'), 'short');
  t.equal(clipReason('x'.repeat(200)).length, 123);
  t.equal(clipReason('€'.repeat(50)), '€'.repeat(41));
  t.equal(clipReason('x'.repeat(121) + '😀'), 'x'.repeat(121));
  t.end();
});

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u8 = fc.integer({ min: 0, max: 255 });
const anyFrame: fc.Arbitrary<ControlFrame> = fc.oneof(
  fc.record({ type: fc.constant('open' as const), version: u8, capabilities: u16, lastReceived: u32 }),
  fc.record({ type: fc.constant('welcome' as const), version: u8, capabilities: u16, lastReceived: u32, epoch: u32 }),
  fc.record({ type: fc.constant('ack' as const), sequence: u32 }),
  fc.record({ type: fc.constant('ping' as const), id: u32, time: u32 }),
  fc.record({ type: fc.constant('pong' as const), id: u32, echoedTime: u32, time: u32 }),
  fc.record({ type: fc.constant('drain' as const), retryAfterMs: u32, spreadMs: u32 }),
  fc.record({
    type: fc.constant('drain' as const),
    retryAfterMs: u32,
    spreadMs: u32,
    where: fc.constantFrom('https://b.example', 'https://[2001:db8::1]:8443'),
  }),
  fc.record({
    type: fc.constant('edges' as const),
    edges: fc.array(fc.constantFrom('https://b.example', 'https://[2001:db8::1]:8443'), { maxLength: 16 }),
  }),
  fc.record({
    type: fc.constant('report' as const),
    flags: u8,
    nomination: u32,
    time: u32,
    sent: u32,
    sentBytes: u32,
    received: u32,
    receivedBytes: u32,
  }),
  fc.record({ type: fc.constant('credit' as const), flags: u8, held: u16, received: u32, time: u32 }),
  fc.record({
    type: fc.constant('close' as const),
    wire: fc.integer({ min: 4000, max: 4999 }),
    reason: fc.string({ unit: 'grapheme', maxLength: 60 }).map(clipReason),
  }),
  fc.record({
    type: fc.constant('signal' as const),
    first: fc.boolean(),
    last: fc.boolean(),
    sequence: fc.integer({ min: 1, max: 0xffff_ffff }),
    payload: fc.uint8Array({ minLength: 1, maxLength: 64 }),
  }),
);

t.test('every frame survives encoding and decoding, also with bytes added behind a fixed layout', (t) => {
  fc.assert(
    fc.property(anyFrame, fc.uint8Array({ maxLength: 9 }), (frame, tail) => {
      const bytes = encodeControlFrame(frame);
      assert.deepEqual(decodeControlFrame(bytes), { ...frame });
      if (['signal', 'close', 'drain', 'edges'].includes(frame.type)) return;
      assert.deepEqual(decodeControlFrame(Uint8Array.from([...bytes, ...tail])), { ...frame });
    }),
    { numRuns: 1000 },
  );
  t.pass();
  t.end();
});

t.test('any bytes give a frame or a reason of the catalogue', (t) => {
  const controlBytes = fc
    .tuple(fc.integer({ min: 0xf0, max: 0xff }), fc.uint8Array({ maxLength: 140 }))
    .map(([first, rest]) => Uint8Array.from([first, ...rest]));
  fc.assert(
    fc.property(fc.oneof(controlBytes, fc.uint8Array({ maxLength: 40 })), (bytes) => {
      const decoded = decodeControlFrame(bytes);
      if (typeof decoded === 'string') assert.ok(Object.hasOwn(controlErrors, decoded));
    }),
    { numRuns: 3000 },
  );
  t.pass();
  t.end();
});
