import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { controlRungs, rungs } from './path.ts';
import type { SignalDecodeReason } from './signal-codec.ts';
import { SignalDecodeError, decodeSignalEvent, decodeSignalRequest, signalLimits } from './signal-codec.ts';
import type { SignalEvent, SignalRequest } from './signal.ts';

function refused(
  decoded: SignalRequest | SignalEvent | SignalDecodeError,
): readonly [SignalDecodeReason, string, number | null] | 'taken' {
  return decoded instanceof SignalDecodeError ? [decoded.reason, decoded.message, decoded.requestId] : 'taken';
}
const invalid = (field: string, id: number | null) =>
  ['invalid-field', `A field is missing or wrong. (${field})`, id] as const;

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const ascii = (max: number) => fc.stringMatching(new RegExp(`^[\\x21-\\x7e]{1,${String(max)}}$`), { size: 'max' });
const participantId = ascii(signalLimits.maxIdChars);
const name = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => !/\p{Cc}/u.test(text));
const source = fc.constantFrom('microphone', 'camera', 'screen');
const kind = fc.constantFrom('audio', 'video');
const rid = fc.constantFrom('h', 'l');
const status = fc
  .dictionary(
    fc
      .string({ minLength: 1, maxLength: 12 })
      .filter((key) => !/^(__proto__|constructor|prototype)$|\p{Cc}/u.test(key)),
    fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.boolean(),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    ),
    { maxKeys: 8, noNullPrototype: true },
  )
  .map((record) => JSON.parse(JSON.stringify(record)) as Record<string, string | number | boolean>);
const plain = { noNullPrototype: true } as const;
const participant = fc.record(
  {
    id: participantId,
    identity: name,
    name,
    publications: fc.array(fc.record({ source, kind, muted: fc.boolean() }, plain), { maxLength: 3 }),
    status,
  },
  plain,
);
const sdp = fc.string({ unit: 'binary', minLength: 1, maxLength: 200 });

const anyRequest = fc.oneof(
  fc.record({ type: fc.constantFrom('join', 'leave', 'end-room'), id: u32 }, plain),
  fc.record({ type: fc.constant('offer'), id: u32, sdp }, plain),
  fc.record({ type: fc.constantFrom('publish', 'mute'), id: u32, source, muted: fc.boolean() }, plain),
  fc.record({ type: fc.constant('unpublish'), id: u32, source }, plain),
  fc.record({ type: fc.constant('transport'), id: u32, fingerprint: ascii(signalLimits.maxFingerprintChars) }, plain),
  fc.record(
    {
      type: fc.constant('subscribe'),
      id: u32,
      main: fc.option(participantId),
      audio: fc.boolean(),
      video: fc.boolean(),
    },
    plain,
  ),
  fc.record({ type: fc.constant('status'), id: u32, status }, plain),
  fc.record({ type: fc.constant('kick'), id: u32, participant: participantId }, plain),
  fc.record({ type: fc.constant('mute-participant'), id: u32, participant: participantId, source }, plain),
  fc.record(
    {
      type: fc.constant('view'),
      id: u32,
      slots: fc.array(fc.record({ mid: ascii(4), layer: fc.option(rid) }, plain), { maxLength: 6 }),
    },
    plain,
  ),
);
const replyBody = fc.oneof(
  fc.record(
    { of: fc.constant('join'), self: participant, participants: fc.array(participant, { maxLength: 3 }) },
    plain,
  ),
  fc.record({ of: fc.constant('offer'), sdp }, plain),
  fc.record(
    { of: fc.constantFrom('transport', 'publish', 'subscribe', 'view', 'mute-participant', 'kick', 'end-room') },
    plain,
  ),
);
const slot = fc.record(
  { mid: ascii(4), kind, participant: fc.option(participantId), source: fc.option(source) },
  plain,
);
const anyEvent = fc.oneof(
  fc.record({ type: fc.constant('reply'), id: u32, ok: fc.constant(true), body: replyBody }, plain),
  fc.record(
    {
      type: fc.constant('reply'),
      id: u32,
      ok: fc.constant(false),
      error: fc.record({ code: ascii(20), message: name }, plain),
    },
    plain,
  ),
  fc.record({ type: fc.constantFrom('participant-joined', 'participant-updated'), participant }, plain),
  fc.record({ type: fc.constant('participant-left'), id: participantId }, plain),
  fc.record({ type: fc.constant('slots'), slots: fc.array(slot, { maxLength: 9 }) }, plain),
  fc.record(
    {
      type: fc.constant('participants'),
      changed: fc.array(participant, { maxLength: 3 }),
      left: fc.array(participantId, { maxLength: 3 }),
    },
    plain,
  ),
  fc.record(
    {
      type: fc.constant('layers'),
      layers: fc.array(fc.record({ source, rid: fc.option(rid), watched: fc.boolean() }, plain), { maxLength: 4 }),
    },
    plain,
  ),
  fc.record(
    { type: fc.constant('rung'), rung: fc.constantFrom(...rungs), control: fc.constantFrom(...controlRungs) },
    plain,
  ),
);

t.test('every message survives its JSON', (t) => {
  fc.assert(
    fc.property(anyRequest, (request) => {
      assert.deepEqual(decodeSignalRequest(JSON.stringify(request)), request);
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(anyEvent, (event) => {
      assert.deepEqual(decodeSignalEvent(JSON.stringify(event)), event);
    }),
    { numRuns: 500 },
  );
  t.pass();
  t.end();
});

t.test('a message with one field missing or of another type is refused, never thrown at', (t) => {
  const junk = fc.constantFrom(undefined, 7.5, -1, 'nonsense \u0000', [], {}, [null], { __proto__: null });
  fc.assert(
    fc.property(anyRequest, fc.nat(), junk, (request, pick, value) => {
      const keys = Object.keys(request);
      const key = keys[pick % keys.length] as string;
      fc.pre(!(key === 'sdp' && typeof value === 'string') && !(key === 'status' && !Array.isArray(value)));
      // An empty view is a view.
      fc.pre(!(key === 'slots' && Array.isArray(value) && value.length === 0));
      const decoded = decodeSignalRequest(JSON.stringify({ ...request, [key]: value }));
      assert.ok(decoded instanceof SignalDecodeError, key);
    }),
    { numRuns: 500 },
  );
  t.pass();
  t.end();
});

t.test('any text gives a message or a reason', (t) => {
  const nearly = fc.oneof(anyRequest, anyEvent).map((message) => JSON.stringify(message).slice(0, -1));
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string(), nearly), (text) => {
      decodeSignalRequest(text);
      decodeSignalEvent(text);
    }),
    { numRuns: 1000 },
  );
  const deep = '['.repeat(30_000) + ']'.repeat(30_000);
  t.strictSame(refused(decodeSignalRequest(deep))[0], 'not-an-object');
  t.strictSame(refused(decodeSignalRequest(`{"type":"status","id":1,"status":${deep}}`)), invalid('status', 1));
  t.end();
});

t.test('the reasons name what is wrong and whom to answer', (t) => {
  const cases: [string, ReturnType<typeof refused>][] = [
    ['', ['not-json', 'The message is not JSON.', null]],
    ['{"type":"join","id":1', ['not-json', 'The message is not JSON.', null]],
    ['null', ['not-an-object', 'The message is not a JSON object.', null]],
    ['[]', ['not-an-object', 'The message is not a JSON object.', null]],
    ['{}', invalid('type', null)],
    ['{"type":1,"id":4}', invalid('type', 4)],
    ['{"type":"dance","id":4}', ['unknown-type', 'The type is unknown. (dance)', 4]],
    ['{"type":"toString","id":4}', ['unknown-type', 'The type is unknown. (toString)', 4]],
    ['{"type":"__proto__","id":4}', ['unknown-type', 'The type is unknown. (__proto__)', 4]],
    ['{"type":"a\\nb\\u00e9","id":4}', ['unknown-type', 'The type is unknown. (a?b?)', 4]],
    ['{"type":"participant-left","id":"p"}', ['unknown-type', 'The type is unknown. (participant-left)', null]],
    ['{"type":"join"}', invalid('id', null)],
    ['{"type":"join","id":-1}', invalid('id', null)],
    ['{"type":"join","id":4294967296}', invalid('id', null)],
    ['{"type":"join","id":1.5}', invalid('id', null)],
    ['{"type":"mute","id":1,"source":"kitchen","muted":true}', invalid('source', 1)],
    ['{"type":"subscribe","id":1,"audio":true,"video":true}', invalid('main', 1)],
    ['{"type":"subscribe","id":1,"main":"a b","audio":true,"video":true}', invalid('main', 1)],
    ['{"__proto__":{"type":"join","id":1}}', invalid('type', null)],
  ];
  for (const [text, expected] of cases) t.strictSame(refused(decodeSignalRequest(text)), expected, text);
  t.strictSame(
    refused(decodeSignalEvent('{"type":"reply","id":3,"ok":true,"body":{"of":"join","self":{},"participants":[]}}')),
    invalid('body.self.id', 3),
  );
  const event = { type: 'slots', slots: [{ mid: '3', kind: 'video', participant: null, source: null }, 5] };
  t.strictSame(refused(decodeSignalEvent(JSON.stringify(event))), invalid('slots[1]', null));
  t.end();
});

t.test('limits', (t) => {
  const taken = (request: object) => !(decodeSignalRequest(JSON.stringify(request)) instanceof SignalDecodeError);
  const offer = (sdp: string) => ({ type: 'offer', id: 1, sdp });
  t.ok(taken(offer('x'.repeat(signalLimits.maxSdpBytes))));
  t.notOk(taken(offer('x'.repeat(signalLimits.maxSdpBytes + 1))));
  t.notOk(taken(offer('é'.repeat(signalLimits.maxSdpBytes / 2 + 1))), 'bytes are counted');
  t.notOk(taken(offer('')));
  const pin = (main: string) => ({ type: 'subscribe', id: 1, main, audio: true, video: true });
  t.ok(taken(pin('p'.repeat(64))));
  t.notOk(taken(pin('p'.repeat(65))));
  t.notOk(taken(pin('')));
  const withStatus = (status: object) => ({ type: 'status', id: 1, status });
  const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${String(i)}`, true]));
  t.ok(taken(withStatus(keys(32))));
  t.notOk(taken(withStatus(keys(33))));
  t.ok(taken(withStatus({ text: 'x'.repeat(1024 - '{"text":""}'.length) })));
  t.notOk(taken(withStatus({ text: 'x'.repeat(1025 - '{"text":""}'.length) })));
  t.notOk(taken(withStatus({ text: 'é'.repeat(600) })), 'bytes are counted');
  t.notOk(taken(withStatus({ nested: {} })));
  t.notOk(taken(withStatus({ nothing: null })));
  t.notOk(taken(withStatus({ '': 1 })));
  t.notOk(taken(withStatus({ ['k'.repeat(65)]: 1 })));
  t.strictSame(refused(decodeSignalRequest(' '.repeat(65_537)))[0], 'too-large');
  const huge = '{"type":"status","id":1,"status":{"a":1e999}}';
  t.strictSame(refused(decodeSignalRequest(huge)), invalid('status', 1), 'not finite');
  t.end();
});

t.test('no prototype is reached, unknown fields are dropped, nothing of the input is passed on', (t) => {
  for (const key of ['__proto__', 'constructor', 'prototype']) {
    const text = `{"type":"status","id":1,"status":{${JSON.stringify(key)}:true}}`;
    t.strictSame(refused(decodeSignalRequest(text)), invalid('status', 1), key);
  }
  const decoded = decodeSignalRequest('{"type":"leave","id":1,"__proto__":{"admin":true},"constructor":1,"more":[1]}');
  t.strictSame(decoded, { type: 'leave', id: 1 });
  t.equal(Object.getPrototypeOf(decoded), Object.prototype);
  t.equal((decoded as unknown as { admin?: unknown }).admin, undefined);
  t.equal(({} as { admin?: unknown }).admin, undefined);
  t.end();
});
