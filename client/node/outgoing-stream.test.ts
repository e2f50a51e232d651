import t from 'tap';
import { RtpHeader, RtpPacket } from 'werift';
import { ExtensionCursor, flowLimits, lane, RtpView } from '../../tunnel-protocol/index.ts';
import { OutgoingStream } from './outgoing-stream.ts';
import { extensionIds } from './sdp-offer.ts';

function packet(sequenceNumber: number, timestamp: number, payload = Buffer.of(1, 2, 3)): RtpPacket {
  const header = new RtpHeader({ sequenceNumber, timestamp, ssrc: 9, payloadType: 7, marker: true });
  header.extension = true;
  header.extensions = [{ id: 1, payload: Buffer.from('other') }];
  return new RtpPacket(header, payload);
}

function parsed(bytes: Uint8Array | null): RtpView {
  const view = new RtpView();
  if (bytes === null || view.parse(bytes) !== null) throw new Error('not an RTP packet');
  return view;
}

function counter(): () => number {
  let last = 0;
  return () => ++last;
}

t.test('SSRC, payload type and MID are the section’s, marker and payload the track’s', (t) => {
  const stream = new OutgoingStream('1', 'video', 0x1234_5678, true, () => 5, counter());
  const view = parsed(stream.rewrite(packet(100, 5000), 0));
  t.match(view, {
    ssrc: 0x1234_5678,
    payloadType: 96,
    marker: true,
    sequenceNumber: 5,
    timestamp: 5,
    payloadLength: 3,
  });
  const cursor = new ExtensionCursor();
  t.ok(cursor.find(view, extensionIds.mid));
  t.equal(Buffer.from(view.packet.subarray(cursor.offset, cursor.offset + cursor.length)).toString(), '1');
  const plain = new OutgoingStream('1', 'video', 1, false, () => 5, counter());
  t.equal(parsed(plain.rewrite(packet(1, 1), 0)).extensionProfile, -1);
  t.end();
});

t.test('gaps and reordering of a track stay; a new track goes on where the last one stopped', (t) => {
  const stream = new OutgoingStream('0', 'audio', 1, true, () => 0x7fff, counter());
  const sequences = [65_534, 65_535, 1, 0].map((n) => parsed(stream.rewrite(packet(n, 960), 0)).sequenceNumber);
  t.same(sequences, [0x7fff, 0x8000, 0x8002, 0x8001]);
  stream.restart();
  const next = parsed(stream.rewrite(packet(7, 123_456), 20));
  t.match(next, { sequenceNumber: 0x8003, timestamp: 0x7fff + 960 });
  t.end();
});

t.test('sender reports extrapolate the timestamp', (t) => {
  const stream = new OutgoingStream('1', 'video', 1, true, () => 0, counter());
  t.equal(stream.senderInfo(0, 0), null);
  stream.rewrite(packet(1, 1000), 50);
  t.match(stream.senderInfo(150, 1_700_000_000_000), {
    ssrc: 1,
    rtpTimestamp: 9000,
    packetCount: 1,
    octetCount: 3,
    ntp: { seconds: 1_700_000_000 + 2_208_988_800 },
  });
  t.end();
});

t.test('what does not fit a datagram is left out and counted', (t) => {
  const stream = new OutgoingStream('1', 'video', 1, true, () => 0, counter());
  t.equal(stream.rewrite(packet(1, 1, Buffer.alloc(1165)), 0), null);
  t.equal(stream.oversized, 1);
  t.equal(parsed(stream.rewrite(packet(1, 1, Buffer.alloc(1164)), 0)).payloadLength, 1164);
  t.end();
});

t.test('what a path is told of packets, and what is done when it drops some', (t) => {
  const nextFrameId = counter();
  const stream = new OutgoingStream('1', 'video', 1, true, () => 0, nextFrameId);
  // RFC 7741: S set, or S clear; then P of the frame tag clear, or set; N is 0x20 of the first byte.
  const key = Buffer.of(0x10, 0x00, 1);
  const delta = Buffer.of(0x10, 0x01, 1);
  const rest = Buffer.of(0x00, 0x01, 1);
  const free = Buffer.of(0x30, 0x01, 1);
  const metas = [key, rest, delta, free].map((payload, index) => {
    stream.rewrite(packet(index + 1, Math.max(1, index) * 3000, payload), index * 40);
    return stream.meta;
  });
  t.match(metas, [
    { lane: lane.video, frameId: 1, keyFrame: true, discardable: false, deadlineMs: flowLimits.videoDeadlineMs },
    { frameId: 1, keyFrame: true },
    { frameId: 2, keyFrame: false, discardable: false },
    { frameId: 3, keyFrame: false, discardable: true },
  ]);
  t.equal(metas[0], metas[1], 'one object for a frame');
  const dropped = (index: number): boolean => stream.dropped(metas[index] ?? stream.meta);
  t.notOk(dropped(3), 'nothing builds on it');
  t.notOk(stream.dropped({ ...stream.meta, frameId: 99, discardable: false }), 'another stream’s');
  t.ok(dropped(2));
  t.notOk(dropped(2), 'once');
  t.equal(stream.rewrite(packet(5, 15_000, delta), 200), null);
  const after = parsed(stream.rewrite(packet(9, 27_000, key), 240));
  t.equal(after.sequenceNumber, 4, 'without a gap');
  t.notOk(dropped(2), 'it is past');
  t.ok(stream.rewrite(packet(10, 30_000, delta), 280));

  const audio = new OutgoingStream('0', 'audio', 2, true, () => 0, nextFrameId);
  audio.rewrite(packet(1, 960), 0);
  t.match(audio.meta, { lane: lane.audio, frameId: 0, discardable: true, deadlineMs: flowLimits.audioDeadlineMs });
  t.end();
});
