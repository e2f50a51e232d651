import fc from 'fast-check';
import t from 'tap';
import { fragmentFlags, InboundStream } from './inbound-stream.ts';
import type { InboundChunk } from './inbound-stream.ts';

interface Message {
  readonly fragments: number;
  readonly ordered: boolean;
}

/** Each fragment is one byte, the number of its message. */
function chunksOf(messages: readonly Message[], firstTsn: number): InboundChunk[] {
  let tsn = firstTsn;
  let sequence = 0;
  return messages.flatMap(({ fragments, ordered }, number) => {
    const streamSeqNum = ordered ? sequence++ : 0;
    return Array.from({ length: fragments }, (_, at) => ({
      tsn: tsn++ >>> 0,
      flags:
        (ordered ? 0 : fragmentFlags.unordered) |
        (at === 0 ? fragmentFlags.first : 0) |
        (at === fragments - 1 ? fragmentFlags.last : 0),
      streamId: 1,
      streamSeqNum,
      protocol: 53,
      userData: Uint8Array.of(number),
    }));
  });
}

const messages = fc.array(fc.record({ fragments: fc.integer({ min: 1, max: 4 }), ordered: fc.boolean() }), {
  minLength: 1,
  maxLength: 12,
});

t.test('whatever the order of arrival, all messages come whole, and the ordered ones in order', (t) => {
  fc.assert(
    fc.property(
      messages,
      fc.constantFrom(1000, 0xffff_fff8, 999_999_998),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (sent, firstTsn, keys) => {
        const shuffled = chunksOf(sent, firstTsn)
          .map((chunk) => ({ chunk, key: keys.next().value as number }))
          .sort((a, b) => a.key - b.key);
        const stream = new InboundStream((bytes) => bytes);
        const popped = shuffled.flatMap(({ chunk }) => {
          stream.addChunk(chunk);
          return stream.popMessages();
        });
        const numbers = popped.map(([, , data]) => data[0] as number);
        for (const [, , data] of popped) if (data.length !== sent[data[0] as number]?.fragments) return false;
        const ordered = numbers.filter((number) => sent[number]?.ordered === true);
        return (
          numbers.length === sent.length && ordered.every((number, at) => at === 0 || number > (ordered[at - 1] ?? 0))
        );
      },
    ),
  );
  t.end();
});

t.test('what the sender gave up is let go, and whole messages are not', (t) => {
  const stream = new InboundStream((bytes) => bytes);
  const [a, , c, d, e] = chunksOf(
    [
      { fragments: 3, ordered: true },
      { fragments: 1, ordered: true },
      { fragments: 1, ordered: true },
    ],
    100,
  ) as [InboundChunk, InboundChunk, InboundChunk, InboundChunk, InboundChunk];
  for (const chunk of [a, c, d, e]) stream.addChunk(chunk);
  t.strictSame(stream.popMessages(), []);
  t.equal(stream.pruneChunks(104), 2);
  t.strictSame(stream.popMessages(), [], 'their turn has not come');
  stream.streamSequenceNumber = 1;
  t.strictSame(
    stream.popMessages().map(([, , data]) => data[0]),
    [1, 2],
  );
  stream.streamSequenceNumber = 1;
  t.equal(stream.streamSequenceNumber, 3, 'it never goes back');
  t.end();
});
