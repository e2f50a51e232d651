/** What a client asks for and when, and how it finds out what proxies do to it. */
import assert from 'node:assert/strict';
import t from 'tap';
import { encodeFrame } from '../frames.ts';
import { ExchangeClient } from './exchange-client.ts';
import type { ClientOutput, ExchangeClientOptions } from './client-types.ts';
import type { ExchangeHeader } from './exchange-header.ts';
import { encodeExchangeHeader, exchangeFlag } from './exchange-header.ts';
import { exchangeLimits } from './limits.ts';
import { Fifo } from './virtual-tunnel.ts';

const connection = '0123456789abcdef';
const ping = Uint8Array.of(0xf3, 0, 0, 0, 1, 0, 0, 0, 1);
const media = Uint8Array.of(0x80, 96, 0, 1);

class Bench {
  readonly source = new Fifo([]);
  readonly delivered: Uint8Array[] = [];
  readonly client: ExchangeClient;
  now = 1000;

  constructor(options: Partial<ExchangeClientOptions> & Pick<ExchangeClientOptions, 'carrier'>) {
    const { source, now } = this;
    const deliver = (frame: Uint8Array): void => void this.delivered.push(frame.slice());
    this.client = new ExchangeClient({ connection, generation: 1, now, source, deliver, ...options });
  }

  outputs(): ClientOutput[] {
    const outputs: ClientOutput[] = [];
    for (let next = this.client.nextOutput(this.now); next !== null; next = this.client.nextOutput(this.now)) {
      outputs.push(next);
    }
    return outputs;
  }

  /** What it does, in words: `post 1`, `abort 2`. */
  words(): string[] {
    return this.outputs().map((output) =>
      output.type === 'request'
        ? `${output.kind} ${String(output.header.exchange)}`
        : `${output.type} ${String(output.exchange)}`,
    );
  }

  send(...frames: Uint8Array[]): void {
    this.source.frames.push(...frames);
  }

  /** Lets time pass, waking the client when it wants. */
  advance(ms: number): void {
    const until = this.now + ms;
    for (let at = this.client.nextTimeout(); at !== null && at <= until; at = this.client.nextTimeout()) {
      if (at <= this.now && this.client.nextOutput(this.now) === null) this.client.handleTimeout(this.now);
      this.now = Math.max(this.now, at);
      this.client.handleTimeout(this.now);
      if (this.#due() !== null) break;
    }
    this.now = Math.max(this.now, until);
  }

  answer(exchange: number, header: Partial<ExchangeHeader> = {}, ...frames: Uint8Array[]): void {
    this.client.received(exchange, answer(exchange, header, ...frames), this.now);
    this.client.ended(exchange, this.now);
  }

  #due(): number | null {
    const at = this.client.nextTimeout();
    return at !== null && at <= this.now ? at : null;
  }
}

function answer(exchange: number, header: Partial<ExchangeHeader>, ...frames: Uint8Array[]): Uint8Array {
  const fields = { flags: 0, close: 0, connection, generation: 0, exchange, oldest: 0, first: 1, ack: 0, holdMs: 0, gatherMs: 0 }; // prettier-ignore
  return Buffer.concat([encodeExchangeHeader({ ...fields, ...header }), ...frames].map(encodeFrame));
}

function requestOf(output: ClientOutput | undefined): ClientOutput & { type: 'request' } {
  assert.ok(output?.type === 'request');
  return output;
}

t.test('long-poll on HTTP/1.1: one post and one poll at a time', (t) => {
  const bench = new Bench({ carrier: 'long-poll' });
  bench.send(ping);
  const [post, poll] = bench.outputs().map(requestOf);
  t.match(post, { kind: 'post', header: { exchange: 1, oldest: 1, flags: exchangeFlag.fresh, first: 1 } });
  t.strictSame(Buffer.from(post?.body ?? []), Buffer.from(encodeFrame(ping)));
  t.match(poll, { kind: 'poll', header: { exchange: 2, oldest: 1, holdMs: 15_000 } });
  bench.send(media, media);
  bench.now += 100;
  t.strictSame(bench.words(), [], 'gathers while the post is on its way');
  bench.answer(1, { ack: 1 });
  const [second] = bench.outputs().map(requestOf);
  t.match(second, { kind: 'post', header: { exchange: 3, oldest: 2, flags: 0, first: 2 } });
  t.equal(second?.body.length, 2 * 6, 'both in one');
  t.equal(bench.client.roundTripMs, 100);
  bench.answer(2, {}, ping, media);
  t.equal(bench.delivered.length, 2);
  t.match(requestOf(bench.outputs()[0]), { kind: 'poll', header: { exchange: 4, oldest: 3, ack: 1 } });
  t.end();
});

t.test('a post leaves at once when idle; a busy connection gathers 20 to 50 ms', (t) => {
  const bench = new Bench({ carrier: 'long-poll', posts: 4, polls: 2 });
  bench.send(ping);
  t.strictSame(bench.words(), ['post 1', 'poll 2', 'poll 3']);
  bench.now += 30;
  bench.answer(1, { ack: 1 });
  bench.send(media);
  t.strictSame(bench.words(), ['post 4'], 'the last one left 30 ms ago');
  bench.send(media);
  t.strictSame(bench.words(), []);
  t.equal(bench.client.nextTimeout(), bench.now + 20);
  bench.now += 20;
  t.strictSame(bench.words(), ['post 5'], 'while the other one is on its way');
  for (const exchange of [4, 5]) {
    bench.now += 400;
    bench.answer(exchange, { ack: 1 });
  }
  bench.send(media);
  t.strictSame(bench.words(), ['post 6']);
  bench.send(media);
  t.equal(bench.client.nextTimeout(), bench.now + 50, 'half a round trip, and no more than this');
  t.end();
});

t.test('a control frame of a failed post goes again, and media does not', (t) => {
  const bench = new Bench({ carrier: 'long-poll' });
  bench.send(ping, media);
  t.strictSame(bench.words(), ['post 1', 'poll 2']);
  bench.client.failed(1, bench.now);
  bench.now += 20;
  const [again] = bench.outputs().map(requestOf);
  t.match(again, { kind: 'post', header: { exchange: 3, first: 1 } });
  t.strictSame(Buffer.from(again?.body ?? []), Buffer.from(encodeFrame(ping)));
  t.equal(bench.client.counters.resentFrames, 1);
  t.end();
});

t.test('failures are followed by growing pauses, and by giving up', (t) => {
  const bench = new Bench({ carrier: 'long-poll' });
  const starts: number[] = [];
  for (let i = 0; i < 20; i++) {
    const [request] = bench.outputs();
    if (request === undefined) break;
    starts.push(bench.now - 1000);
    bench.client.failed(requestOf(request).header.exchange, bench.now);
    const at = bench.client.nextTimeout();
    if (at !== null) bench.now = Math.max(bench.now, at);
  }
  t.strictSame(starts.slice(0, 8), [0, 0, 100, 300, 700, 1500, 3100, 5100]);
  t.strictSame(bench.client.nextEvent(), { type: 'closed', wire: 1006 });
  t.equal(bench.client.nextTimeout(), null);
  t.strictSame(bench.words(), []);
  t.end();
});

t.test('answers of others, of caches and of portals are failures', (t) => {
  const html = Buffer.from('<html><body>Please log in</body></html>');
  const strange = [
    html,
    answer(9, {}, ping),
    answer(1, { connection: 'ffffffffffffffff' }, ping),
    Buffer.alloc(0),
    answer(1, { ack: 7 }),
  ];
  for (const body of [...strange, encodeFrame(ping)]) {
    const bench = new Bench({ carrier: 'long-poll' });
    bench.outputs();
    bench.client.received(1, body, bench.now);
    bench.client.ended(1, bench.now);
    t.equal(bench.delivered.length, 0);
    t.match(bench.words().at(-1), /poll 2/, 'asks again');
  }
  t.end();
});

t.test('what answers at once with nothing is not asked in a circle', (t) => {
  const bench = new Bench({ carrier: 'long-poll' });
  let polls = 0;
  for (const until = bench.now + 1000; bench.now < until;) {
    for (const output of bench.outputs()) {
      polls++;
      bench.answer(requestOf(output).header.exchange);
    }
    bench.now = Math.max(bench.now + 0.1, bench.client.nextTimeout() ?? 0);
  }
  t.ok(polls <= 51, String(polls));
  t.end();
});

t.test('an answer that got lost without a word: the server is known to have sent more', (t) => {
  const bench = new Bench({ carrier: 'long-poll' });
  bench.send(ping);
  t.strictSame(bench.words(), ['post 1', 'poll 2']);
  bench.answer(1, { ack: 1, first: 4 });
  t.equal(bench.client.nextTimeout(), bench.now + exchangeLimits.missingAfterMs);
  bench.now += exchangeLimits.missingAfterMs;
  bench.client.handleTimeout(bench.now);
  const outputs = bench.outputs();
  t.strictSame(outputs[0], { type: 'abort', exchange: 2 });
  t.match(outputs[1], { kind: 'poll', header: { exchange: 3, oldest: 3, ack: 0 } }, 'so the server knows what is lost');
  bench.answer(3, { first: 1 }, ping, ping, ping);
  t.equal(bench.delivered.length, 3);
  t.end();
});

t.test('http-stream: a download that a proxy buffers is told', (t) => {
  const never = new Bench({ carrier: 'http-stream' });
  never.send(ping);
  t.strictSame(never.words(), ['post 1', 'download 2']);
  never.answer(1, { ack: 1 });
  t.equal(never.client.nextTimeout(), never.now + exchangeLimits.firstByteAfterMs);
  never.now += exchangeLimits.firstByteAfterMs;
  never.client.handleTimeout(never.now);
  t.strictSame(never.client.nextEvent(), { type: 'buffered' }, 'not one byte');

  const early = new Bench({ carrier: 'http-stream' });
  early.send(ping);
  early.outputs();
  early.answer(1, { ack: 1, first: 3 });
  early.now += exchangeLimits.missingAfterMs;
  early.client.handleTimeout(early.now);
  t.strictSame(early.client.nextEvent(), { type: 'buffered' }, 'an answer says that two frames are on their way');

  const slow = new Bench({ carrier: 'http-stream' });
  slow.send(ping);
  slow.outputs();
  slow.client.received(2, answer(2, {}), slow.now);
  slow.answer(1, { ack: 1, first: 3 });
  for (let i = 0; i < 20; i++) {
    slow.now += 300;
    slow.client.received(2, Uint8Array.of(i === 0 ? 4 : 0), slow.now);
    slow.client.handleTimeout(slow.now);
  }
  t.equal(slow.client.nextEvent(), null, 'a slow line is none');
  t.end();
});

t.test('http-stream: a download that brings nothing any more is replaced once, then taken for buffered', (t) => {
  const bench = new Bench({ carrier: 'http-stream' });
  bench.send(ping);
  t.strictSame(bench.words(), ['post 1', 'download 2']);
  bench.client.received(2, answer(2, {}, ping), bench.now);
  bench.answer(1, { ack: 1, first: 3 });
  bench.now += exchangeLimits.missingAfterMs;
  bench.client.handleTimeout(bench.now);
  t.equal(bench.client.nextEvent(), null);
  t.strictSame(bench.words(), ['abort 2', 'post 3', 'download 4']);
  bench.client.received(4, answer(4, { first: 4 }), bench.now);
  bench.now += 2 * exchangeLimits.missingAfterMs;
  bench.client.handleTimeout(bench.now);
  t.strictSame(bench.client.nextEvent(), { type: 'buffered' });
  t.end();
});

t.test('http-stream: the download is replaced before a proxy cuts it', (t) => {
  const bench = new Bench({ carrier: 'http-stream' });
  t.strictSame(bench.words(), ['download 1']);
  bench.client.received(1, answer(1, {}, ping), bench.now);
  bench.now += 59_000;
  const words = bench.words();
  t.strictSame(words, ['post 2'], 'an acknowledgement');
  bench.answer(2, { first: 2 });
  bench.now += 1000;
  t.match(bench.outputs(), [{ kind: 'download', header: { exchange: 3, oldest: 1 } }]);
  bench.client.received(3, answer(3, { first: 3 }, ping), bench.now);
  t.equal(bench.delivered.length, 1, 'the new one overtook');
  bench.client.received(1, encodeFrame(ping), bench.now);
  t.equal(bench.delivered.length, 3, 'both are read');
  bench.client.ended(1, bench.now);
  bench.now += 1000;
  t.match(bench.outputs(), [{ kind: 'post', header: { oldest: 3, ack: 3 } }]);
  t.end();
});

t.test('http-stream: a streamed upload, its rotation, and the way back to posts', (t) => {
  const bench = new Bench({ carrier: 'http-stream', streamUpload: true });
  bench.send(ping);
  t.strictSame(bench.words(), ['post 1', 'download 2'], 'the first request is one that is answered at once');
  bench.client.received(2, answer(2, { ack: 1 }), bench.now);
  bench.answer(1, { ack: 1 });
  bench.send(media);
  t.strictSame(bench.words(), ['upload 3', 'write 3']);
  bench.send(media, media);
  t.strictSame(bench.words(), ['write 3'], 'no gathering on a stream');
  bench.client.blocked(3);
  bench.send(media);
  t.strictSame(bench.words(), []);
  bench.client.drained(3);
  t.strictSame(bench.words(), ['write 3']);
  bench.now += 60_000;
  bench.send(ping);
  t.strictSame(bench.words(), ['finish 3', 'upload 4', 'write 4', 'download 5']);
  bench.client.received(5, answer(5, { ack: 1 }), bench.now);
  bench.answer(3, { ack: 1 });
  t.equal(bench.client.nextTimeout(), bench.now + exchangeLimits.uploadStalledAfterMs, 'the ping is not acknowledged');
  bench.now += exchangeLimits.uploadStalledAfterMs;
  bench.client.handleTimeout(bench.now);
  t.strictSame(bench.words(), ['abort 4', 'post 6'], 'a proxy keeps the body back');
  t.end();
});

t.test('the end: told by the peer, and told to the peer', (t) => {
  const bench = new Bench({ carrier: 'long-poll' });
  bench.send(ping);
  bench.outputs();
  bench.answer(1, { close: 4002, ack: 1, first: 2 });
  t.equal(bench.client.nextEvent(), null, 'what was sent before it is still on its way');
  bench.answer(2, { close: 4002, first: 1 }, ping);
  t.equal(bench.delivered.length, 1);
  t.strictSame(bench.client.nextEvent(), { type: 'closed', wire: 4002 });
  t.strictSame(bench.words(), []);

  const leaving = new Bench({ carrier: 'long-poll' });
  leaving.outputs();
  leaving.send(ping);
  leaving.client.close(4000);
  leaving.client.close(4001);
  const outputs = leaving.outputs();
  t.strictSame(outputs[0], { type: 'abort', exchange: 1 });
  t.match(outputs[1], { kind: 'post', header: { close: 4000 } });
  t.equal(requestOf(outputs[1]).body.length, 11, 'with what was waiting');
  t.equal(outputs.length, 2);
  t.equal(leaving.client.nextTimeout(), null);
  t.end();
});
