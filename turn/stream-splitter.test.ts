import fc from 'fast-check';
import t from 'tap';
import { concatBytes, StunBuilder } from '../tunnel-protocol/index.ts';
import { StreamSplitter } from './stream-splitter.ts';
import { channelData } from './testing/turn-client.ts';

function splitAll(chunks: readonly Uint8Array[]): { messages: Buffer[]; splitter: StreamSplitter } {
  const splitter = new StreamSplitter();
  const messages: Buffer[] = [];
  for (const chunk of chunks) {
    splitter.push(chunk);
    for (let message = splitter.next(); message !== null; message = splitter.next())
      messages.push(Buffer.from(message));
  }
  return { messages, splitter };
}

const stun = fc
  .tuple(fc.uint8Array({ minLength: 12, maxLength: 12 }), fc.uint8Array({ maxLength: 1500 }))
  .map(([id, value]) => new StunBuilder(0, 3, id).attribute(0x8022, value).take());
const channel = fc
  .tuple(fc.integer({ min: 0x4000, max: 0x7fff }), fc.uint8Array({ maxLength: 2044 }))
  .map(([number, data]) => channelData(number, data));

t.test('any chunking yields the same messages', (t) => {
  const cuts = fc.array(fc.integer({ min: 0, max: 8000 }), { maxLength: 40 });
  fc.assert(
    fc.property(fc.array(fc.oneof(stun, channel), { minLength: 1, maxLength: 6 }), cuts, (messages, cuts) => {
      const stream = Buffer.from(concatBytes(messages));
      const at = [0, ...cuts.map((cut) => cut % (stream.length + 1)), stream.length].sort((a, b) => a - b);
      // Each chunk in memory of its own, wiped when it is used up: nothing may refer to it any more.
      const splitter = new StreamSplitter();
      const got: Buffer[] = [];
      for (let i = 1; i < at.length; i++) {
        const chunk = Buffer.from(stream.subarray(at[i - 1], at[i]));
        splitter.push(chunk);
        for (let m = splitter.next(); m !== null; m = splitter.next()) got.push(Buffer.from(m));
        chunk.fill(0xff);
      }
      return !splitter.failed && splitter.heldBytes === 0 && got.length === messages.length
        ? got.every((message, i) => message.equals(messages[i] as Uint8Array))
        : false;
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('what is neither ends the stream, and little is held', (t) => {
  for (const hex of [
    '04',
    '80000000',
    '16030100',
    'ff',
    '0001000300000000',
    '000107f000000000',
    '0001000000000000',
    '400007fd',
  ]) {
    const { splitter, messages } = splitAll([Buffer.from(`${hex}000000`, 'hex')]);
    t.ok(splitter.failed, hex);
    splitter.push(channelData(0x4000, Buffer.of(1)));
    t.equal(splitter.next(), null);
    t.same([messages.length, splitter.heldBytes], [0, 0]);
  }
  const { splitter } = splitAll([Buffer.from('400007fc', 'hex'), Buffer.alloc(2043)]);
  t.notOk(splitter.failed);
  t.equal(splitter.heldBytes, 2047);
  t.end();
});

t.test('random bytes never throw', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 20 }), (chunks) => {
      const { splitter } = splitAll(chunks);
      return splitter.heldBytes < 2048;
    }),
    { numRuns: 500 },
  );
  t.end();
});
