import t from 'tap';
import type { RtpPacket } from 'werift';
import { RtpView, encodeRtpHeaderInto } from '../../tunnel-protocol/index.ts';
import { ReceiveSlot } from './receive-slot.ts';

function receive(slot: ReceiveSlot, sequenceNumber: number, timestamp: number, nowMs: number): void {
  const bytes = new Uint8Array(14);
  encodeRtpHeaderInto(bytes, 0, { marker: false, payloadType: 96, sequenceNumber, timestamp, ssrc: 7 }, false);
  const view = new RtpView();
  view.parse(bytes);
  slot.receive(view, nowMs);
}

t.test('packets come out of the track', (t) => {
  const slot = new ReceiveSlot('3', 'video', 7);
  const seen: RtpPacket[] = [];
  slot.track.onReceiveRtp.subscribe((packet) => seen.push(packet));
  receive(slot, 5, 90, 0);
  t.match(seen, [{ header: { sequenceNumber: 5, timestamp: 90, ssrc: 7, padding: false } }]);
  t.equal(seen[0]?.payload.length, 2);
  slot.end();
  t.equal(slot.track.readyState, 'ended');
  t.end();
});

t.test('loss, wrap and interval fractions (RFC 3550 appendix A.3)', (t) => {
  const slot = new ReceiveSlot('3', 'video', 7);
  t.equal(slot.takeReport(0), null);
  receive(slot, 65_534, 0, 0);
  receive(slot, 65_535, 3600, 40);
  receive(slot, 2, 14_400, 160);
  t.match(slot.takeReport(200), { cumulativeLost: 2, extendedHighestSequence: 65_538, fractionLost: 102, jitter: 0 });
  receive(slot, 0, 7200, 200);
  t.match(slot.takeReport(400), { cumulativeLost: 1, fractionLost: 0 }, 'a late packet was not lost');
  receive(slot, 3, 18_000, 240);
  t.match(slot.takeReport(600), { cumulativeLost: 1, fractionLost: 0 });
  t.match(slot.stats, { packets: 5, lost: 1, direction: 'receive' });
  t.end();
});

t.test('numbers that begin anew are no loss', (t) => {
  const slot = new ReceiveSlot('3', 'video', 7);
  receive(slot, 10, 0, 0);
  receive(slot, 30_000, 0, 0);
  receive(slot, 30_001, 0, 0);
  t.match(slot.stats, { packets: 3, lost: 0 });
  t.end();
});

t.test('jitter, and the echo of sender reports', (t) => {
  const slot = new ReceiveSlot('9', 'audio', 7);
  for (let i = 0; i < 200; i++) receive(slot, i, i * 960, i * 20 + (i % 2) * 5);
  t.ok(Math.abs(slot.stats.jitterMs - 5) < 0.1, `${String(slot.stats.jitterMs)} ms`);
  const ntp = { seconds: 0x1234_5678, fraction: 0x9abc_def0 };
  slot.senderReport({ ssrc: 7, ntp, rtpTimestamp: 0, packetCount: 0, octetCount: 0 }, 4000);
  t.match(slot.takeReport(4500), { lastSenderReport: 0x5678_9abc, delaySinceLastSenderReport: 32_768 });
  t.end();
});
