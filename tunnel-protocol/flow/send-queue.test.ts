import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { putU32, u32 } from '../bytes.ts';
import { lane, transportMeta, type Lane, type SendMeta } from '../path.ts';
import { SendQueue, type QueueDropReason } from './send-queue.ts';

interface Dropped {
  readonly meta: SendMeta;
  readonly reason: QueueDropReason;
}

function setUp(options: { maxMediaBytes?: number; maxReliableBytes?: number } = {}): {
  readonly queue: SendQueue;
  readonly dropped: Dropped[];
} {
  const dropped: Dropped[] = [];
  return { queue: new SendQueue({ ...options, onDrop: (meta, reason) => dropped.push({ meta, reason }) }), dropped };
}

const metaOf = (of: Lane, deadlineMs = 0): SendMeta => ({ ...transportMeta, lane: of, deadlineMs });

function video(frameId: number, more: Partial<SendMeta> = {}): SendMeta {
  return { lane: lane.video, frameId, keyFrame: false, discardable: false, deadlineMs: 0, ...more };
}

/** An SRTP packet of a stream, as far as the queue looks at it; its number stands in its first bytes. */
function packet(number: number, ssrc = 1, bytes = 100): Uint8Array {
  const datagram = new Uint8Array(bytes);
  putU32(datagram, 0, number);
  putU32(datagram, 8, ssrc);
  return datagram;
}

/** Takes out all that may be sent at `now`. */
function take(queue: SendQueue, now: number): number[] {
  const taken: number[] = [];
  queue.expire(now);
  for (let next = queue.peek(); next !== null; next = queue.peek()) {
    taken.push(u32(next, 0));
    queue.shift();
  }
  return taken;
}

const reasons = (dropped: readonly Dropped[]): string[] =>
  dropped.map(({ meta, reason }) => `${String(meta.frameId)} ${reason}`);

t.test('lanes are served in order, each first in, first out', (t) => {
  const { queue } = setUp();
  for (const [number, of] of [3, 2, 1, 0, 3, 2, 1, 0].entries()) queue.push(packet(number), metaOf(of as Lane), 0);
  t.equal(queue.bytes, 800);
  t.equal(queue.count, 8);
  t.same(take(queue, 0), [3, 7, 2, 6, 1, 5, 0, 4]);
  t.ok(queue.isEmpty);
  t.equal(queue.peek(), null);
  t.end();
});

t.test('audio and video are dropped for their age, control and transport never', (t) => {
  const { queue, dropped } = setUp();
  for (const of of [0, 1, 2, 3] as const) queue.push(packet(of), metaOf(of), 0);
  queue.push(packet(4), metaOf(lane.audio, 500), 0);
  queue.push(packet(5), metaOf(lane.audio, 50), 100);
  queue.expire(200);
  t.same(dropped, []);
  queue.expire(201);
  t.same(reasons(dropped), ['0 stale'], 'the default of audio');
  t.same(take(queue, 301), [0, 1, 4, 5], 'the head that may wait keeps those behind it');
  t.same(reasons(dropped), ['0 stale', '0 stale'], 'the default of video');
  t.end();
});

t.test('a dropped video packet takes the rest of its frame, and what builds on it up to a key frame', (t) => {
  const { queue, dropped } = setUp();
  queue.push(packet(1), video(1), 0);
  queue.push(packet(2), video(1), 200);
  queue.push(packet(3, 2), video(7), 200);
  queue.push(packet(4), video(2), 250);
  queue.push(packet(5), video(3, { keyFrame: true }), 250);
  queue.push(packet(6), video(3, { keyFrame: true }), 250);
  queue.push(packet(7), video(4), 250);
  t.same(take(queue, 301), [3, 5, 6, 7]);
  t.same(reasons(dropped), ['1 stale', '1 frame', '2 dependent']);
  queue.push(packet(8), video(1), 302);
  queue.push(packet(9), video(5), 302);
  t.same(take(queue, 302), [9], 'also what is pushed of that frame later');
  t.end();
});

t.test('a key frame that is cut itself, and frames that nothing builds on', (t) => {
  const { queue, dropped } = setUp();
  const key = video(1, { keyFrame: true });
  queue.push(packet(1), key, 0);
  queue.push(packet(2), key, 0);
  queue.push(packet(3), video(2), 100);
  queue.expire(301);
  t.same(reasons(dropped), ['1 stale', '1 frame', '2 dependent']);
  queue.push(packet(4), video(3), 301);
  queue.push(packet(5), video(4, { keyFrame: true }), 301);
  queue.push(packet(6), video(5, { discardable: true, deadlineMs: 10 }), 301);
  queue.push(packet(7), video(6), 301);
  dropped.length = 0;
  t.equal(queue.count, 3);
  t.equal(u32(queue.peek() ?? new Uint8Array(4), 0), 5);
  queue.shift();
  queue.expire(320);
  t.same(reasons(dropped), ['5 stale']);
  t.same(take(queue, 320), [7]);
  t.end();
});

t.test('where the sender knows no frames, age alone decides', (t) => {
  const { queue, dropped } = setUp();
  queue.push(packet(1), video(0), 0);
  queue.push(packet(2), video(0), 200);
  t.same(take(queue, 301), [2]);
  t.same(reasons(dropped), ['0 stale']);
  t.end();
});

t.test('too much media: the oldest video goes first; too much else is refused', (t) => {
  const { queue, dropped } = setUp({ maxMediaBytes: 500, maxReliableBytes: 250 });
  queue.push(packet(1), metaOf(lane.audio), 0);
  for (let frame = 1; frame <= 5; frame++) queue.push(packet(frame + 1), video(frame), 0);
  t.same(reasons(dropped), ['1 queue-full', '2 dependent', '3 dependent', '4 dependent', '5 dependent']);
  for (let i = 0; i < 5; i++) queue.push(packet(10 + i), metaOf(lane.audio), 0);
  t.equal(dropped.at(-1)?.meta.lane, lane.audio, 'audio when there is no video');
  t.ok(queue.push(packet(20), metaOf(lane.control), 0));
  t.ok(queue.push(packet(21), metaOf(lane.transport), 0));
  t.notOk(queue.push(packet(22), metaOf(lane.control), 0));
  t.same(take(queue, 0), [20, 21, 10, 11, 12, 13, 14]);
  t.end();
});

t.test(
  'random operations: bounds hold, nothing is doubled, what is not sent was reported, control is never lost',
  (t) => {
    const push = fc.record({
      op: fc.constant('push' as const),
      of: fc.constantFrom<Lane>(0, 1, 2, 3),
      frame: fc.integer({ min: 0, max: 6 }),
      ssrc: fc.integer({ min: 1, max: 3 }),
      keyFrame: fc.boolean(),
      discardable: fc.boolean(),
      deadlineMs: fc.constantFrom(0, 5, 50),
      bytes: fc.integer({ min: 12, max: 400 }),
    });
    const other = fc.record({
      op: fc.constantFrom('wait' as const, 'take' as const),
      amount: fc.integer({ min: 0, max: 120 }),
    });
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 4, arbitrary: push }, other), { maxLength: 120 }), (operations) => {
        const { queue, dropped } = setUp({ maxMediaBytes: 3000, maxReliableBytes: 2000 });
        let now = 0;
        let pushed = 0;
        const taken: { number: number; of: Lane; age: number }[] = [];
        const known = new Map<number, { of: Lane; at: number }>();
        const metas = new Map<SendMeta, number>();
        for (const operation of operations) {
          if (operation.op === 'wait') now += operation.amount;
          else if (operation.op === 'push') {
            const { of, frame, keyFrame, discardable, deadlineMs, ssrc, bytes } = operation;
            const meta: SendMeta = {
              lane: of,
              frameId: of === lane.video ? frame : 0,
              keyFrame,
              discardable,
              deadlineMs,
            };
            if (!queue.push(packet(pushed, ssrc, bytes), meta, now)) continue;
            known.set(pushed, { of, at: now });
            metas.set(meta, pushed);
            pushed++;
          } else {
            queue.expire(now);
            for (let left = operation.amount % 10; left > 0; left--) {
              const next = queue.peek();
              if (next === null) break;
              const number = u32(next, 0);
              const { of, at } = known.get(number) ?? { of: 0, at: 0 };
              taken.push({ number, of, age: now - at });
              queue.shift();
            }
          }
          assert.ok(queue.bytes <= 5000);
        }
        for (const { of, age } of taken) if (of >= lane.audio) assert.ok(age <= 300);
        const gone = new Set([
          ...taken.map(({ number }) => number),
          ...dropped.map(({ meta }) => metas.get(meta) ?? -1),
        ]);
        assert.equal(gone.size, taken.length + dropped.length, 'each once');
        assert.equal(gone.size + queue.count, pushed);
        assert.ok(dropped.every(({ meta }) => meta.lane >= lane.audio));
        for (const of of [0, 1, 2, 3]) {
          const numbers = taken.filter((entry) => entry.of === of).map(({ number }) => number);
          assert.deepEqual(
            numbers,
            [...numbers].sort((a, b) => a - b),
            'in order',
          );
        }
      }),
      { numRuns: 1000 },
    );
    t.pass();
    t.end();
  },
);
