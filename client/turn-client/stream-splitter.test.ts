import fc from 'fast-check';
import t from 'tap';
import { TurnStreamSplitter } from './stream-splitter.ts';
import { encodeChannelData } from './channel-data.ts';
import { dataIndication, peer } from './testing/scripted-server.ts';

function split(splitter: TurnStreamSplitter, chunks: readonly Uint8Array[]): string[] {
  const messages: string[] = [];
  for (const chunk of chunks) {
    splitter.push(chunk);
    for (let message = splitter.next(); message !== null; message = splitter.next()) {
      messages.push(Buffer.from(message).toString('hex'));
    }
  }
  return messages;
}

t.test('any chunking yields the same messages, without padding', (t) => {
  const kinds = fc.oneof(
    fc.uint8Array({ maxLength: 1300 }).map((data) => {
      const whole = encodeChannelData(0x4000, data, true);
      return { wire: whole, message: whole.subarray(0, 4 + data.length) };
    }),
    fc.uint8Array({ minLength: 1, maxLength: 600 }).map((data) => {
      const wire = dataIndication(peer, data);
      return { wire, message: wire };
    }),
  );
  fc.assert(
    fc.property(
      fc.array(kinds, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 40 }),
      (sent, cuts) => {
        const stream = Buffer.concat(sent.map(({ wire }) => wire));
        const chunks: Uint8Array[] = [];
        let at = 0;
        for (const cut of cuts) chunks.push(stream.subarray(at, (at += cut)));
        chunks.push(stream.subarray(at));
        const wanted = sent.map(({ message }) => Buffer.from(message).toString('hex'));
        t.same(split(new TurnStreamSplitter(), chunks), wanted);
      },
    ),
    { numRuns: 150 },
  );
  t.end();
});

t.test('what is no TURN message ends it', (t) => {
  for (const hex of ['80000001', 'ffff0000', '16030100', '0001ffff', '4000ffff']) {
    for (const cut of [0, 1, 3]) {
      const bytes = Buffer.from(hex, 'hex');
      const splitter = new TurnStreamSplitter();
      t.same(split(splitter, [bytes.subarray(0, cut), bytes.subarray(cut)]), []);
      t.ok(splitter.failed, `${hex} after ${String(cut)}`);
      t.same(split(splitter, [encodeChannelData(0x4000, Uint8Array.of(1), true)]), [], 'it is final');
    }
  }
  t.end();
});

t.test('no bytes throw', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 10 }), (chunks) => {
      split(new TurnStreamSplitter(), chunks);
    }),
  );
  t.end();
});
