/** Flow control from both ends over virtual links; long because good, bad and hostile peers share one set-up. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { putU16, putU32, u32 } from '../bytes.ts';
import { forEachFrame } from '../frames.ts';
import { lane, transportMeta, type SendMeta } from '../path.ts';
import { flowLimits } from './flow-limits.ts';
import { creditFrameBytes, creditType } from './credit.ts';
import { TunnelFlow } from './tunnel-flow.ts';
import { VirtualLink } from './virtual-link.ts';

/** Waits for as long as it takes, within the window. */
const bulk: SendMeta = { lane: lane.video, frameId: 0, keyFrame: false, discardable: true, deadlineMs: 1e9 };
const audio: SendMeta = { lane: lane.audio, frameId: 0, keyFrame: false, discardable: true, deadlineMs: 200 };

/** A datagram that says when it was made, and of which kind it is. */
function stamped(bytes: number, now: number, kind = 0x80): Uint8Array {
  const datagram = new Uint8Array(bytes).fill(kind);
  putU32(datagram, 4, now * 16);
  return datagram;
}

const ageOf = (datagram: Uint8Array, at: number): number => at - u32(datagram, 4) / 16;

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

/** 50 audio packets of 100 B and 25 frames of 5 packets of 1000 B a second, 1.04 Mbit/s, until told otherwise. */
class Media {
  readonly #link: VirtualLink;
  #frameId = 0;
  #meta: SendMeta = audio;
  sentAudio = 0;
  sentVideo = 0;
  /** The video's SSRC is in every packet. */
  constructor(link: VirtualLink) {
    this.#link = link;
  }

  readonly step = (now: number): void => {
    const { left } = this.#link;
    if (now % 20 === 0) {
      left.send(stamped(100, now, 0x80), audio);
      this.sentAudio++;
    }
    if (now % 40 === 0) {
      this.#frameId++;
      const keyFrame = this.#frameId % 25 === 1;
      this.#meta = { lane: lane.video, frameId: this.#frameId, keyFrame, discardable: false, deadlineMs: 300 };
      for (let i = 0; i < 5; i++) {
        left.send(stamped(1000, now, 0x90), this.#meta);
        this.sentVideo++;
      }
    }
  };

  /** Ages of what was delivered since, in ms. */
  ages(kind: number, since = 0): number[] {
    return this.#link.right.deliveries
      .filter(({ datagram, at }) => datagram[0] === kind && at >= since)
      .map(({ datagram, at }) => ageOf(datagram, at));
  }
}

t.test('a path that is wide enough: everything arrives at once, nothing is known of its rate', (t) => {
  const link = new VirtualLink();
  const media = new Media(link);
  link.run(10_000, media.step);
  t.same(link.left.drops, []);
  t.equal(quantile(media.ages(0x80), 1), 25);
  t.equal(link.left.flow.rateLimit(link.now), null);
  const roundTrip = link.left.flow.roundTripMs ?? 0;
  t.ok(roundTrip >= 49 && roundTrip <= 51, `${String(roundTrip)} ms`);
  t.ok(link.right.creditMessages <= 10 * 30, `${String(link.right.creditMessages)} credits in 10 s`);
  t.equal(link.left.creditMessages, 0, 'a credit is not credited');
  t.equal(link.left.faults + link.right.faults, 0);
  t.end();
});

t.test('bulk: the window grows to what the path takes, and the path is kept full without a long queue', (t) => {
  for (const [rate, delayMs] of [
    [125, 25],
    [1250, 25],
    [1250, 2],
    [6250, 50],
  ] as const) {
    const link = new VirtualLink();
    link.left.rate = rate;
    link.left.delayMs = link.right.delayMs = delayMs;
    const fill = (): void => {
      while (link.left.flow.queuedBytes < 400_000) link.left.send(new Uint8Array(1200).fill(0x80), bulk);
    };
    // As a connection begins: with a few small messages, which meet no queue.
    link.left.send(new Uint8Array(100).fill(0x80), bulk);
    link.run(500);
    link.run(2000, fill);
    const from = link.right.deliveries.length;
    let backlog = 0;
    link.run(3000, () => {
      fill();
      backlog = Math.max(backlog, link.left.backlogBytes);
    });
    const bytes = (link.right.deliveries.length - from) * 1202;
    const used = bytes / (rate * 3000);
    const limit = link.left.flow.rateLimit(link.now) ?? 0;
    const name = `${String(rate * 8)} kbit/s, ${String(delayMs * 2)} ms`;
    t.ok(used > 0.9, `${name}: ${(used * 100).toFixed(0)} % used`);
    t.ok(Math.abs(limit / (rate * 8000) - 1) < 0.15, `${name}: ${(limit / 1000).toFixed(0)} kbit/s measured`);
    const queueMs = backlog / rate;
    const allowed =
      Math.max(flowLimits.minWindowBytes / rate, 2 * Math.max(2 * delayMs, flowLimits.creditTurnMs)) * 1.3;
    t.ok(queueMs <= allowed, `${name}: ${queueMs.toFixed(0)} ms of queue in the path`);
  }
  t.end();
});

t.test('the rate falls to 60 % and comes back', (t) => {
  const link = new VirtualLink();
  const media = new Media(link);
  link.run(5000, media.step);
  link.left.rate = (1_040_000 / 8000) * 0.6;
  const before = media.sentAudio;
  const beforeDrops = link.left.drops.length;
  link.run(30_000, media.step);
  const drops = link.left.drops.slice(beforeDrops);
  const ages = media.ages(0x80, 5000);
  const lostAudio = drops.filter(({ meta }) => meta.lane === lane.audio).length / (media.sentAudio - before);
  t.comment(
    `audio p50 ${quantile(ages, 0.5).toFixed(0)}, p99 ${quantile(ages, 0.99).toFixed(0)} ms, lost ${(lostAudio * 100).toFixed(1)} %`,
  );
  t.comment(`video p99 ${quantile(media.ages(0x90, 5000), 0.99).toFixed(0)} ms, ${String(drops.length)} dropped`);
  t.ok(quantile(ages, 0.99) <= 300);
  t.ok(lostAudio <= 0.02);
  const limit = link.left.flow.rateLimit(link.now) ?? 0;
  t.ok(Math.abs(limit / (link.left.rate * 8000) - 1) < 0.2, `${(limit / 1000).toFixed(0)} kbit/s`);
  link.left.rate = Infinity;
  const at = link.now;
  link.run(1000, media.step);
  const late = link.left.drops.filter((drop) => drop.at > at);
  t.comment(`${String(late.length)} dropped after the end of the limit`);
  t.ok(late.every((drop) => drop.at - at < 1000));
  link.run(4000, media.step);
  t.equal(link.left.drops.filter((drop) => drop.at > at + 1000).length, 0);
  t.equal(link.left.flow.rateLimit(link.now), null);
  t.equal(link.left.faults + link.right.faults, 0);
  t.end();
});

t.test('stalls, as of lost segments', (t) => {
  const link = new VirtualLink();
  link.left.rate = link.right.rate = 500;
  const media = new Media(link);
  let seed = 1;
  const random = (): number => (seed = (seed * 48_271) % 0x7fff_ffff) / 0x7fff_ffff;
  link.run(60_000, (now) => {
    media.step(now);
    if (random() < 0.003) link.left.stall(random() < 0.05 ? 350 : 75);
    if (random() < 0.003) link.right.stall(75);
  });
  const ages = media.ages(0x80);
  const lost = link.left.drops.filter(({ meta }) => meta.lane === lane.audio).length / media.sentAudio;
  t.comment(
    `audio p50 ${quantile(ages, 0.5).toFixed(0)}, p99 ${quantile(ages, 0.99).toFixed(0)} ms, lost ${(lost * 100).toFixed(2)} %`,
  );
  t.ok(quantile(ages, 0.99) <= 300);
  t.ok(lost <= 0.01);
  t.equal(link.left.faults + link.right.faults, 0);
  t.end();
});

t.test('idle, and busy again: the window is still there, and nothing is stuck', (t) => {
  const link = new VirtualLink();
  link.left.rate = 1250;
  const fill = (): void => {
    while (link.left.flow.queuedBytes < 100_000) link.left.send(new Uint8Array(1200).fill(0x80), bulk);
  };
  link.left.send(new Uint8Array(100).fill(0x80), bulk);
  link.run(500);
  link.run(3000, fill);
  const window = link.left.flow.windowBytes;
  link.run(60_000);
  t.equal(link.left.flow.inFlightBytes, 0);
  t.equal(link.left.flow.blockedSince, null);
  t.ok(link.left.flow.windowBytes >= window * 0.8, 'what is measured while idle does not count');
  const from = link.right.deliveries.length;
  link.run(1000, fill);
  const used = ((link.right.deliveries.length - from) * 1202) / 1_250_000;
  t.ok(used > 0.85, `${(used * 100).toFixed(0)} % used in the first second`);
  t.end();
});

t.test('a path that became longer: the round trip is measured anew', (t) => {
  const link = new VirtualLink();
  link.left.rate = 500;
  link.left.delayMs = link.right.delayMs = 10;
  const fill = (): void => {
    while (link.left.flow.queuedBytes < 100_000) link.left.send(new Uint8Array(1200).fill(0x80), bulk);
  };
  link.left.send(new Uint8Array(100).fill(0x80), bulk);
  link.run(500);
  link.run(3000, fill);
  link.left.delayMs = link.right.delayMs = 50;
  let least = Infinity;
  link.run(25_000, () => {
    fill();
    least = Math.min(least, link.left.flow.windowBytes);
  });
  t.ok(least <= flowLimits.probeWindowBytes, 'it was probed with little in flight');
  const roundTrip = link.left.flow.roundTripMs ?? 0;
  t.ok(roundTrip >= 99 && roundTrip < 125, `${roundTrip.toFixed(0)} ms`);
  const from = link.right.deliveries.length;
  link.run(3000, fill);
  t.ok((link.right.deliveries.length - from) * 1202 > 0.9 * 3000 * 500);
  t.end();
});

t.test('credits that are late and bunched do not bend what is measured on the way there', (t) => {
  const link = new VirtualLink();
  link.left.rate = 1250;
  link.left.send(new Uint8Array(100).fill(0x80), bulk);
  link.run(500);
  link.run(10_000, (now) => {
    while (link.left.flow.queuedBytes < 100_000) link.left.send(new Uint8Array(1200).fill(0x80), bulk);
    if (now % 200 === 0) link.right.stall(60);
  });
  const limit = (link.left.flow.rateLimit(link.now) ?? 0) / 10_000_000;
  t.ok(limit > 0.85 && limit < 1.15, `${(limit * 100).toFixed(0)} % of the rate`);
  t.end();
});

t.test('without credits, all there is may leave', (t) => {
  const flow = new TunnelFlow({ now: 0, messageBytes: 16_384, onDrop: () => undefined });
  for (let i = 0; i < 100; i++) flow.push(new Uint8Array(1000).fill(0x80), audio, 0);
  let frames = 0;
  for (let message = flow.nextMessage(0); message !== null; message = flow.nextMessage(0)) {
    t.ok(message.length <= 16_384);
    t.equal(
      forEachFrame(message, () => frames++),
      null,
    );
  }
  t.equal(frames, 100);
  t.equal(flow.sentFrames, 100);
  flow.received(5000, 0);
  t.equal(flow.nextTimeout(), null, 'and nothing is credited');
  t.equal(flow.rateLimit(0), null);
  t.end();
});

t.test('the end of a connection: control frames go, whatever the window', (t) => {
  const flow = new TunnelFlow({ now: 0, messageBytes: 16_384, onDrop: () => undefined });
  flow.agree();
  for (let i = 0; i < 30; i++) flow.push(new Uint8Array(1000).fill(0x80), audio, 0);
  while (flow.nextMessage(0) !== null);
  flow.push(Uint8Array.of(0xf6, 1, 2), { ...transportMeta, lane: lane.control }, 0);
  t.equal(flow.nextMessage(0), null);
  flow.end();
  t.same([...(flow.nextMessage(0) ?? [])], [0, 3, 0xf6, 1, 2]);
  t.equal(flow.nextMessage(0), null);
  t.end();
});

t.test('messages in memory that is used again', (t) => {
  const scratch = new Uint8Array(16_384);
  const flow = new TunnelFlow({ now: 0, messageBytes: 16_384, onDrop: () => undefined, scratch });
  for (let i = 0; i < 30; i++) flow.push(new Uint8Array(1000).fill(i), audio, 0);
  const seen: number[] = [];
  for (let message = flow.nextMessage(0); message !== null; message = flow.nextMessage(0)) {
    t.equal(message.buffer, scratch.buffer);
    forEachFrame(message, (frame) => seen.push(frame[999] ?? -1));
  }
  t.same(
    seen,
    Array.from({ length: 30 }, (_, i) => i),
  );
  t.end();
});

t.test('the window holds video back; for all else there is a reserve beyond it', (t) => {
  const flow = new TunnelFlow({ now: 0, messageBytes: 16_384, onDrop: () => undefined });
  flow.agree();
  const leave = (): number => {
    const before = flow.inFlightBytes;
    while (flow.nextMessage(0) !== null);
    return flow.inFlightBytes - before;
  };
  for (let i = 0; i < 30; i++) flow.push(new Uint8Array(1000).fill(0x90), bulk, 0);
  t.equal(leave(), 17 * 1002);
  t.equal(leave(), 0);
  for (let i = 0; i < 100; i++) flow.push(new Uint8Array(100).fill(0x80), audio, 0);
  const passed = leave();
  const { minWindowBytes, reserveBytes } = flowLimits;
  t.equal(passed, Math.ceil((minWindowBytes + reserveBytes - 17 * 1002) / 102) * 102);
  t.ok(flow.inFlightBytes < minWindowBytes + reserveBytes + 102);
  t.notOk(flow.wantsToSend(0));
  t.end();
});

t.test('hostile credits: never a throw, never out of bounds', (t) => {
  const credit = (flags: number, held: number, received: number, time: number): Uint8Array => {
    const frame = new Uint8Array(creditFrameBytes);
    frame[0] = creditType;
    frame[1] = flags;
    putU16(frame, 2, held);
    putU32(frame, 4, received);
    putU32(frame, 8, time);
    return frame;
  };
  const flow = new TunnelFlow({ now: 0, messageBytes: 16_384, onDrop: () => undefined });
  flow.agree();
  t.equal(flow.credit(credit(0, 0, 1, 0), 0), false, 'nothing was sent');
  t.equal(flow.credit(new Uint8Array(creditFrameBytes - 1).fill(creditType), 0), false, 'too short');

  const u32s = fc.integer({ min: 0, max: 0xffff_ffff });
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          send: fc.integer({ min: 0, max: 20 }),
          credited: fc.double({ min: 0, max: 1, noNaN: true }),
          flags: fc.integer({ min: 0, max: 255 }),
          held: fc.integer({ min: 0, max: 0xffff }),
          time: u32s,
          pass: fc.double({ min: 0, max: 500, noNaN: true }),
        }),
        { maxLength: 60 },
      ),
      (steps) => {
        const flow = new TunnelFlow({ now: 0, messageBytes: 16_384, onDrop: () => undefined });
        flow.agree();
        let now = 0;
        let received = 0;
        for (const { send, credited, flags, held, time, pass } of steps) {
          now += pass;
          for (let i = 0; i < send; i++) flow.push(new Uint8Array(1200).fill(0x80), bulk, now);
          // The window may have shrunk below what was in flight already.
          const most = Math.max(flow.windowBytes + 1202, flow.inFlightBytes);
          while (flow.nextMessage(now) !== null);
          assert.ok(flow.inFlightBytes <= most);
          received = (received + Math.floor(flow.inFlightBytes * credited)) % 0x1_0000_0000;
          assert.equal(flow.credit(credit(flags, held, received, time), now), true);
          assert.ok(flow.inFlightBytes >= 0);
          assert.ok(flow.windowBytes >= flowLimits.probeWindowBytes && flow.windowBytes <= flowLimits.maxWindowBytes);
          assert.ok((flow.rateLimit(now) ?? 0) >= 0);
          assert.ok((flow.roundTripMs ?? 1) > 0);
          assert.equal(flow.nextTimeout(), null, 'a credit is no reason for one');
        }
        const beyond = received + flow.inFlightBytes + 1;
        assert.equal(flow.credit(credit(0, 0, beyond % 0x1_0000_0000, 0), now), false);
      },
    ),
    { numRuns: 500 },
  );
  t.end();
});

t.test('random operations: no control frame lost or doubled, in order, both ways', (t) => {
  const operation = fc.record({
    op: fc.constantFrom('control', 'audio', 'video', 'rate', 'delay', 'stall', 'run'),
    left: fc.boolean(),
    amount: fc.integer({ min: 1, max: 100 }),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const link = new VirtualLink();
      const sent = { left: 0, right: 0 };
      let frame = 0;
      for (const { op, left, amount } of operations) {
        const side = left ? 'left' : 'right';
        const end = link[side];
        if (op === 'control') {
          for (let i = 0; i < amount; i++) {
            const datagram = new Uint8Array(20 + ((amount * 37) % 1000)).fill(0xf5);
            putU32(datagram, 1, sent[side]++);
            end.send(datagram, { ...transportMeta, lane: lane.control });
          }
        } else if (op === 'audio') end.send(new Uint8Array(100).fill(0x80), audio);
        else if (op === 'video') {
          frame++;
          const meta = {
            lane: lane.video,
            frameId: frame,
            keyFrame: frame % 9 === 0,
            discardable: false,
            deadlineMs: 300,
          };
          for (let i = 0; i < amount; i++) end.send(new Uint8Array(1000).fill(0x90), meta);
        } else if (op === 'rate') end.rate = amount * 20;
        else if (op === 'delay') end.delayMs = amount;
        else if (op === 'stall') end.stall(amount * 20);
        else link.run(amount * 5);
        assert.ok(end.flow.queuedBytes <= flowLimits.maxReliableBytes + flowLimits.maxMediaBytes);
      }
      link.left.rate = link.right.rate = 1000;
      link.run(6000);
      for (const [side, peer] of [
        ['left', link.right],
        ['right', link.left],
      ] as const) {
        const numbers = peer.deliveries
          .filter(({ datagram }) => datagram[0] === 0xf5)
          .map(({ datagram }) => u32(datagram, 1));
        assert.deepEqual(
          numbers,
          Array.from({ length: sent[side] }, (_, i) => i),
        );
        assert.equal(peer.faults, 0);
      }
      assert.ok(link.left.flow.isEmpty && link.right.flow.isEmpty);
    }),
    { numRuns: 60 },
  );
  t.end();
});
