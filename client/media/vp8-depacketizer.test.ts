import fc from 'fast-check';
import t from 'tap';
import { Vp8Depacketizer, askAgainPackets } from './vp8-depacketizer.ts';
import type { Vp8Frame, Vp8RtpPacket } from './vp8-depacketizer.ts';
import { Vp8Packetizer, maxVp8PayloadBytes } from './vp8-packetizer.ts';

/** The tag's lowest bit tells key frames (0) from the others; 1280 × 720 stands behind the start code. */
function frameOf(length: number, keyFrame: boolean): Uint8Array {
  const frame = new Uint8Array(Math.max(length, 10)).map((_, at) => at & 0xff);
  frame.set([keyFrame ? 0x50 : 0x51, 0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02]);
  return frame;
}

function packetsOf(frames: readonly Uint8Array[], firstSequence = 65_500): Vp8RtpPacket[] {
  const packetizer = new Vp8Packetizer(0x7ffe);
  let sequenceNumber = firstSequence;
  return frames.flatMap((frame, index) =>
    packetizer.packetize(frame).map((payload, at, all) => {
      const packet = { sequenceNumber, timestamp: (index * 3600) >>> 0, marker: at === all.length - 1, payload };
      sequenceNumber = (sequenceNumber + 1) & 0xffff;
      return packet;
    }),
  );
}

function collector(): { depacketizer: Vp8Depacketizer; frames: Vp8Frame[]; asked: () => number } {
  const frames: Vp8Frame[] = [];
  let asked = 0;
  const depacketizer = new Vp8Depacketizer({
    frame: (frame) => frames.push(frame),
    needKeyFrame: () => asked++,
  });
  return { depacketizer, frames, asked: () => asked };
}

t.test('frames survive being cut and put together', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 10, max: 20_000 }), { minLength: 1, maxLength: 20 }), (lengths) => {
      const sent = lengths.map((length, index) => frameOf(length, index === 0));
      const packets = packetsOf(sent);
      if (packets.some(({ payload }) => payload.length > maxVp8PayloadBytes)) return false;
      const { depacketizer, frames } = collector();
      for (const packet of packets) depacketizer.push(packet);
      return (
        frames.length === sent.length &&
        frames.every(({ data }, i) => Buffer.compare(data, sent[i] as Uint8Array) === 0)
      );
    }),
    { numRuns: 30 },
  );
  t.end();
});

t.test('it begins at a key frame, knows its size, and asks for it', (t) => {
  const { depacketizer, frames, asked } = collector();
  for (const packet of packetsOf([frameOf(3000, false), frameOf(3000, true), frameOf(100, false)])) {
    depacketizer.push(packet);
  }
  t.match(frames, [
    { keyFrame: true, width: 1280, height: 720, timestamp: 3600 },
    { keyFrame: false, timestamp: 7200 },
  ]);
  t.equal(asked(), 1);
  t.end();
});

t.test('reordered and doubled packets do no harm', (t) => {
  const sent = Array.from({ length: 12 }, (_, i) => frameOf(5000, i === 0));
  const [first, ...rest] = packetsOf(sent);
  fc.assert(
    fc.property(fc.array(fc.nat(7), { minLength: 200, maxLength: 200 }), (random) => {
      let used = 0;
      const next = (): number => random[used++] ?? 0;
      const { depacketizer, frames } = collector();
      // The first packet leads, so that the start is known; the others come up to 7 places late.
      const delayed = rest.map((packet, at) => ({ packet, at: at + next() }));
      delayed.sort((a, b) => a.at - b.at);
      if (first !== undefined) depacketizer.push(first);
      for (const { packet } of delayed) {
        depacketizer.push(packet);
        if (next() === 0) depacketizer.push(packet);
      }
      return frames.length === sent.length && depacketizer.packetsLost === 0;
    }),
    { numRuns: 30 },
  );
  t.end();
});

t.test('a lost packet costs everything until the next key frame, which is asked for again and again', (t) => {
  const sent = Array.from({ length: 250 }, (_, i) => frameOf(2500, i === 0 || i === 200));
  const packets = packetsOf(sent);
  const { depacketizer, frames, asked } = collector();
  packets.forEach((packet, index) => {
    if (index !== 31) depacketizer.push(packet);
  });
  t.equal(depacketizer.packetsLost, 1);
  t.equal(frames.length, 10 + 50);
  t.equal(asked(), 1 + Math.ceil((190 * 3 - 33) / (askAgainPackets + 1)));
  t.end();
});

t.test('any payloads: nothing throws', (t) => {
  const packet = fc.record({
    sequenceNumber: fc.nat(0xffff),
    timestamp: fc.nat(10),
    marker: fc.boolean(),
    payload: fc.uint8Array({ maxLength: 12 }),
  });
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 100 }), (packets) => {
      const { depacketizer } = collector();
      for (const one of packets) depacketizer.push(one);
    }),
  );
  t.end();
});
