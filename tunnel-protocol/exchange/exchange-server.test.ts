/** What a server answers and when, and what it holds against its peer. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { closeCodes } from '../control/close-codes.ts';
import { encodeFrame, forEachFrame } from '../frames.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import { decodeExchangeHeader, encodeExchangeHeader, exchangeFlag } from './exchange-header.ts';
import { ExchangeServer } from './exchange-server.ts';
import type { ExchangeCarrier, ServerOutput } from './exchange-server.ts';
import { exchangeLimits } from './limits.ts';
import { Fifo } from './virtual-tunnel.ts';

const connection = '0123456789abcdef';
const open = Uint8Array.of(0xf0, 1, 0, 0, 0, 0, 0, 0);
const media = Uint8Array.of(0x80, 96, 0, 1);
const noBytes = new Uint8Array(0);

class Bench {
  readonly source = new Fifo([]);
  readonly delivered: Uint8Array[] = [];
  readonly server: ExchangeServer<string>;
  now = 1000;

  constructor(carrier: ExchangeCarrier) {
    const deliver = (frame: Uint8Array): void => void this.delivered.push(frame.slice());
    this.server = new ExchangeServer<string>({ carrier, connection, now: this.now, source: this.source, deliver });
  }

  poll(exchange: number, fields: Partial<ExchangeHeader> = {}): void {
    this.server.request(head(exchange, { flags: exchangeFlag.hold, holdMs: 15_000, ...fields }), noBytes, `poll ${String(exchange)}`, this.now); // prettier-ignore
  }

  post(exchange: number, fields: Partial<ExchangeHeader>, ...frames: Uint8Array[]): void {
    this.server.request(head(exchange, fields), body(...frames), `post ${String(exchange)}`, this.now);
  }

  outputs(): ServerOutput<string>[] {
    const outputs: ServerOutput<string>[] = [];
    for (let next = this.server.nextOutput(this.now); next !== null; next = this.server.nextOutput(this.now)) {
      outputs.push(next);
    }
    return outputs;
  }

  /** `answer poll 3: first 1 ack 0 + f3 80`: header fields, then the first byte of each frame. */
  words(): string[] {
    return this.outputs().map((output) => {
      const bytes = output.type === 'answer' ? output.body : output.type === 'write' ? output.bytes : noBytes;
      return `${output.type} ${output.handle}: ${wordsOf(bytes)}`.trim();
    });
  }

  send(...frames: Uint8Array[]): void {
    this.source.frames.push(...frames);
  }
}

function head(exchange: number, fields: Partial<ExchangeHeader> = {}): ExchangeHeader {
  return { flags: 0, close: 0, connection, generation: 1, exchange, oldest: 1, first: 1, ack: 0, holdMs: 0, gatherMs: 20, ...fields }; // prettier-ignore
}

function body(...frames: Uint8Array[]): Uint8Array {
  return Buffer.concat(frames.map(encodeFrame));
}

function wordsOf(bytes: Uint8Array): string {
  const words: string[] = [];
  if (bytes.length === 0) return '';
  forEachFrame(bytes, (frame) => {
    const header = decodeExchangeHeader(frame);
    if (header === null) words.push((frame[0] as number).toString(16));
    else words.push(`[first ${String(header.first)} ack ${String(header.ack)}${header.close === 0 ? '' : ` close ${String(header.close)}`}]`); // prettier-ignore
  });
  return words.join(' ');
}

const welcome = Uint8Array.of(0xf1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const ping = Uint8Array.of(0xf3, 0, 0, 0, 1, 0, 0, 0, 1);

t.test('long-poll: answers at once when idle, gathers when busy, holds to the end', (t) => {
  const bench = new Bench('long-poll');
  bench.poll(1);
  bench.poll(2);
  t.strictSame(bench.words(), []);
  bench.send(welcome);
  t.strictSame(bench.words(), ['answer poll 1: [first 1 ack 0] f1']);
  bench.send(media);
  t.strictSame(bench.words(), []);
  t.equal(bench.server.nextTimeout(), bench.now + 20);
  bench.now += 20;
  bench.send(media);
  t.strictSame(bench.words(), ['answer poll 2: [first 2 ack 0] 80 80']);
  bench.poll(3, { oldest: 3, ack: 1, holdMs: 4000 });
  t.equal(bench.server.unackedFrames, 0);
  t.equal(bench.server.nextTimeout(), bench.now + 4000);
  bench.now += 4000;
  t.strictSame(bench.words(), ['answer poll 3: [first 2 ack 0]'], 'with nothing');
  t.end();
});

t.test('long-poll: the answer to a post brings what waits', (t) => {
  const bench = new Bench('long-poll');
  bench.send(welcome);
  bench.post(1, {}, open, media);
  t.equal(bench.delivered.length, 2);
  t.strictSame(bench.words(), ['answer post 1: [first 1 ack 1] f1']);
  t.end();
});

t.test('long-poll: what a lost answer brought comes again, but for media', (t) => {
  const bench = new Bench('long-poll');
  bench.poll(1);
  bench.poll(2);
  bench.send(welcome, media, ping);
  t.strictSame(bench.words(), ['answer poll 1: [first 1 ack 0] f1 80 f3']);
  bench.poll(3, { oldest: 1 });
  bench.now += 20;
  t.strictSame(bench.words(), [], 'may be on its way');
  bench.poll(4, { oldest: 2 });
  t.strictSame(bench.words(), ['answer poll 2: [first 1 ack 0]', 'answer poll 3: [first 1 ack 0] f1 f3']);
  t.end();
});

t.test('long-poll: a request that a proxy repeats gets its answer again', (t) => {
  const bench = new Bench('long-poll');
  bench.post(1, {}, open, media);
  bench.send(welcome);
  t.strictSame(bench.words(), ['answer post 1: [first 1 ack 1] f1']);
  bench.post(1, {}, open, media);
  t.equal(bench.delivered.length, 2, 'neither frame is delivered twice');
  t.strictSame(bench.words(), ['answer post 1: [first 1 ack 1] f1']);
  bench.poll(2, { ack: 1, oldest: 2 });
  bench.send(media);
  bench.now += 20;
  bench.outputs();
  bench.poll(2, { ack: 1, oldest: 2 });
  t.strictSame(bench.words(), ['answer poll 2: [first 2 ack 1]'], 'not held');
  t.match(bench.server.counters, { repeatedExchanges: 2, duplicateFrames: 1 });
  t.end();
});

t.test('overtaken: control frames wait for those before, media does not, media before open is dropped', (t) => {
  const bench = new Bench('long-poll');
  bench.post(2, { first: 2 }, ping, media);
  t.equal(bench.delivered.length, 0);
  t.strictSame(bench.words(), ['answer post 2: [first 1 ack 0]']);
  bench.post(1, {}, open);
  t.strictSame(
    bench.delivered.map((frame) => frame[0]),
    [0xf0, 0xf3],
  );
  t.strictSame(bench.words(), ['answer post 1: [first 1 ack 2]']);
  t.equal(bench.server.counters.earlyDatagrams, 1);
  t.equal(bench.server.heldBytes, 0);
  t.end();
});

t.test('a poll that is gone, stale or one too many carries nothing', (t) => {
  const bench = new Bench('long-poll');
  bench.poll(1);
  bench.server.aborted('poll 1');
  bench.poll(2);
  bench.send(welcome);
  t.strictSame(bench.words(), ['answer poll 2: [first 1 ack 0] f1']);
  bench.poll(3);
  bench.poll(4, { oldest: 4, ack: 1 });
  bench.now += 20;
  bench.send(ping);
  t.strictSame(bench.words(), ['answer poll 3: [first 2 ack 0]', 'answer poll 4: [first 2 ack 0] f3']);
  bench.send(ping);
  bench.post(1, {}, open);
  t.strictSame(bench.words(), ['answer post 1: [first 3 ack 1]'], 'late: the client gave it up');
  bench.source.frames.length = 0;
  for (const exchange of [5, 6, 7]) bench.poll(exchange, { oldest: 5, ack: 2 });
  t.strictSame(bench.words(), ['answer poll 5: [first 3 ack 1]']);
  t.end();
});

t.test('an answer has 64 KiB at most, and less at first; more waits for the next', (t) => {
  const bench = new Bench('long-poll');
  bench.send(...Array.from({ length: 400 }, () => new Uint8Array(1200).fill(0x80)));
  const lengths: number[] = [];
  for (let exchange = 1; exchange <= 9; exchange++) {
    bench.poll(exchange, { oldest: exchange });
    bench.now += 20;
    const [answer] = bench.outputs();
    if (answer?.type === 'answer') lengths.push(answer.body.length);
  }
  const { firstBodyBytes, maxBodyBytes } = exchangeLimits;
  t.ok(
    lengths.slice(0, 1).every((length) => length <= firstBodyBytes && length > firstBodyBytes - 1300),
    'at first',
  );
  t.ok(
    lengths.slice(7).every((length) => length <= maxBodyBytes && length > maxBodyBytes - 1300),
    'it all comes through',
  );
  t.equal(lengths.length, 9);
  t.end();
});

t.test('http-stream: header first, then frames; backpressure; acknowledgements; a newer stream takes over', (t) => {
  const bench = new Bench('http-stream');
  bench.server.download(head(1), 'down 1', bench.now);
  t.strictSame(bench.words(), ['write down 1: [first 1 ack 0]'], 'at once: a proxy that buffers is noticed by it');
  bench.send(welcome, media);
  t.strictSame(bench.words(), ['write down 1: f1 80']);
  bench.send(...Array.from({ length: 20 }, () => new Uint8Array(1200).fill(0x80)));
  t.ok(
    bench.outputs().every((output) => output.type === 'write' && output.bytes.length <= exchangeLimits.maxWriteBytes),
  );
  bench.server.blocked('down 1');
  bench.send(media);
  t.strictSame(bench.words(), []);
  t.notOk(bench.server.writable);
  bench.server.drained('down 1');
  t.strictSame(bench.words(), ['write down 1: 80']);

  const upload = bench.server.upload(head(2), 'up 2', bench.now);
  for (const byte of body(open, ping)) upload.push(Uint8Array.of(byte), bench.now);
  t.equal(bench.delivered.length, 2, 'byte by byte');
  t.strictSame(bench.words(), []);
  t.equal(bench.server.nextTimeout(), bench.now + exchangeLimits.ackDelayMs);
  bench.now += exchangeLimits.ackDelayMs;
  t.strictSame(bench.words(), ['write down 1: [first 2 ack 2]']);
  upload.finish(bench.now);
  t.strictSame(bench.words(), ['answer up 2: [first 2 ack 2]']);

  bench.server.download(head(3, { oldest: 1 }), 'down 3', bench.now);
  bench.send(ping);
  t.strictSame(bench.words(), ['end down 1:', 'write down 3: [first 2 ack 2] f3']);
  bench.server.download(head(1), 'late', bench.now);
  t.strictSame(
    bench.words(),
    ['write down 3: [first 1 ack 2] f1', 'answer late: [first 3 ack 2]'],
    'a repeat: what was sent on the first goes again, with its number between the frames',
  );
  bench.send(ping);
  t.strictSame(bench.words(), ['write down 3: [first 3 ack 2] f3']);
  bench.server.download(head(4, { oldest: 4, ack: 1 }), 'down 4', bench.now);
  t.strictSame(bench.words(), ['end down 3:', 'write down 4: [first 2 ack 2] f3 f3'], 'the cut one had not brought it');
  t.end();
});

t.test('http-stream: what a cut stream lost does not go on it again, though the next one is still on its way', (t) => {
  const bench = new Bench('http-stream');
  bench.server.download(head(1), 'down 1', bench.now);
  bench.send(welcome);
  t.strictSame(bench.words(), ['write down 1: [first 1 ack 0] f1']);
  // The client has asked for a stream by its second request, which this one overtook.
  bench.post(3, { oldest: 2 }, open);
  t.strictSame(bench.words(), ['end down 1:', 'answer post 3: [first 1 ack 1]']);
  bench.server.download(head(2, { oldest: 2 }), 'down 2', bench.now);
  t.strictSame(bench.words(), ['write down 2: [first 1 ack 1] f1']);
  t.end();
});

t.test('the end is told to all who ask, after what was sent before it', (t) => {
  const poll = new Bench('long-poll');
  poll.poll(1);
  poll.send(ping);
  poll.server.close(closeCodes.kicked.wire);
  t.strictSame(poll.words(), ['answer poll 1: [first 1 ack 0 close 4002] f3']);
  poll.post(2, {}, open);
  t.equal(poll.delivered.length, 0);
  t.strictSame(poll.words(), ['answer post 2: [first 2 ack 0 close 4002]']);
  t.strictSame(poll.server.ended, { wire: 4002, by: 'self' });

  const stream = new Bench('http-stream');
  stream.server.download(head(1), 'down', stream.now);
  stream.server.upload(head(2), 'up', stream.now);
  stream.outputs();
  stream.send(ping);
  stream.server.close(closeCodes.normal.wire);
  t.strictSame(stream.words(), ['write down: [first 1 ack 0 close 4000] f3', 'end down:', 'answer up: [first 2 ack 0 close 4000]'].sort((a) => (a.startsWith('write') ? -1 : 0))); // prettier-ignore

  const left = new Bench('long-poll');
  left.poll(1);
  left.post(2, { close: 4000 }, open);
  t.equal(left.delivered.length, 1, 'what came with it counts');
  t.strictSame(left.server.ended, { wire: 4000, by: 'peer' });
  t.end();
});

t.test('silence', (t) => {
  const bench = new Bench('http-stream');
  bench.server.download(head(1), 'down', bench.now);
  bench.outputs();
  t.equal(bench.server.nextTimeout(), bench.now + exchangeLimits.idleAfterMs);
  bench.now += exchangeLimits.idleAfterMs;
  bench.server.handleTimeout(bench.now);
  t.strictSame(bench.server.ended, { wire: closeCodes.idle.wire, by: 'idle' });
  t.equal(bench.server.nextTimeout(), null);
  t.end();
});

t.test('faults end the connection with protocol-error', (t) => {
  const faults: Record<string, (bench: Bench) => void> = {
    'bad-framing': (bench) => {
      bench.server.request(head(1), Uint8Array.of(0, 0), 'x', bench.now);
    },
    'ack-ahead': (bench) => {
      bench.poll(1, { ack: 1 });
    },
    'body-too-large': (bench) => {
      bench.server.request(head(1), new Uint8Array(exchangeLimits.maxBodyBytes + 1), 'x', bench.now);
    },
    'bad-header': (bench) => {
      bench.post(1, {}, encodeExchangeHeader(head(2)));
    },
    'too-many-uploads': (bench) => {
      for (let i = 1; i < 30; i++) bench.server.upload(head(i), `up ${String(i)}`, bench.now);
    },
  };
  for (const [fault, commit] of Object.entries(faults)) {
    const bench = new Bench('long-poll');
    commit(bench);
    t.equal(bench.server.fault, fault);
    t.strictSame(bench.server.ended, { wire: closeCodes['protocol-error'].wire, by: 'fault' });
    t.match(bench.words().at(-1), /close 4202/);
  }
  const cut = new Bench('long-poll');
  cut.server.request(head(1), Uint8Array.of(0, 9, 1), 'x', cut.now);
  t.equal(cut.server.fault, 'bad-framing', 'a whole body ends between frames');
  t.end();
});

t.test('a hostile peer makes it hold no more than allowed, and never throw', (t) => {
  const number = fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 0xffff_ffff }));
  const fields = fc.record(
    { flags: fc.nat(3), oldest: fc.nat(3), first: number, ack: fc.oneof(fc.constant(0), fc.nat(4)), holdMs: fc.nat(0xffff), gatherMs: fc.nat(0xffff) }, // prettier-ignore
    { requiredKeys: [] },
  );
  const frame = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 60 }),
    fc.constantFrom(open, ping, media, new Uint8Array(2048).fill(0xf5)),
  );
  const request = fc.record({
    kind: fc.constantFrom('poll', 'post', 'raw', 'download', 'upload'),
    exchange: number,
    fields,
    frames: fc.array(frame, { maxLength: 30 }),
    ms: fc.nat(3000),
  });
  fc.assert(
    fc.property(
      fc.constantFrom<ExchangeCarrier>('long-poll', 'http-stream'),
      fc.array(request, { maxLength: 60, size: 'max' }),
      (carrier, requests) => {
        const bench = new Bench(carrier);
        let count = 0;
        for (const { kind, exchange, fields, frames, ms } of requests) {
          const header = head(exchange, fields);
          const handle = `${kind} ${String(count++)}`;
          const { server, now } = bench;
          bench.send(welcome, media);
          if (kind === 'poll') server.request(header, noBytes, handle, now);
          else if (kind === 'post') server.request(header, body(...frames), handle, now);
          else if (kind === 'raw') server.request(header, Buffer.concat(frames), handle, now);
          else if (kind === 'download') server.download(header, handle, now);
          else {
            const upload = server.upload(header, handle, now);
            for (const each of frames) upload.push(encodeFrame(each), now);
            if (count % 2 === 0) upload.finish(now);
          }
          bench.now += ms;
          server.handleTimeout(bench.now);
          bench.outputs();
          assert.ok(server.heldBytes <= exchangeLimits.maxHeldBytes);
          assert.ok(server.unackedFrames <= exchangeLimits.maxUnackedFrames);
        }
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
  t.end();
});

t.test('a peer that leaves holes is held to the limit', (t) => {
  const bench = new Bench('long-poll');
  const frame = new Uint8Array(2048).fill(0xf5);
  for (let i = 0; i < 2000; i++) bench.post(i + 1, { first: 2 + i }, frame);
  t.ok(bench.server.heldBytes > 0 && bench.server.heldBytes <= exchangeLimits.maxHeldBytes);
  const small = new Bench('long-poll');
  for (let i = 0; i < 5000; i++) small.post(i + 1, { first: 2 + i }, Uint8Array.of(0xf2));
  t.ok(small.server.heldBytes <= exchangeLimits.maxHeldFrames);
  t.end();
});

t.test('a reader that never acknowledges is sent no more than the limit', (t) => {
  const bench = new Bench('http-stream');
  bench.server.download(head(1), 'down', bench.now);
  for (let i = 0; i < 3000; i++) bench.send(Uint8Array.of(0xf2, 0, 0, 0, 1));
  bench.outputs();
  t.equal(bench.server.unackedFrames, exchangeLimits.maxUnackedFrames);
  t.equal(bench.source.frames.length, 3000 - exchangeLimits.maxUnackedFrames, 'the rest stays where it can be seen');
  t.end();
});
