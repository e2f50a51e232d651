import t from 'tap';
import { ReceptionStats, SendStats } from './rtp-stats.ts';

void t.test('losses: since the last report and since ever', (t) => {
  const stats = new ReceptionStats(7, 90_000);
  t.equal(stats.report(0), null, 'nothing to say yet');
  for (const sequenceNumber of [65_534, 65_535, 0, 2]) stats.received(sequenceNumber, 0, 100, 0);
  t.match(stats.report(1000), {
    ssrc: 7,
    fractionLost: Math.floor(256 / 5),
    cumulativeLost: 1,
    extendedHighestSequence: 0x1_0002,
    lastSenderReport: 0,
    delaySinceLastSenderReport: 0,
  });
  stats.received(1, 0, 100, 0);
  stats.received(3, 0, 100, 0);
  t.match(stats.report(2000), { fractionLost: 0, cumulativeLost: 0 }, 'the late one came: nothing is lost');
  t.match(stats.report(3000), { fractionLost: 0 }, 'nothing expected');
  t.equal(stats.packets, 6);
  t.equal(stats.octets, 600);
  stats.received(3, 0, 100, 0);
  t.match(stats.report(4000), { fractionLost: 0, cumulativeLost: -1 }, 'a duplicate');
  stats.received(103, 0, 100, 0);
  t.match(stats.report(5000), { fractionLost: Math.floor((99 * 256) / 100), cumulativeLost: 98 });
  t.end();
});

void t.test('a jump is believed when the next packet confirms it', (t) => {
  const stats = new ReceptionStats(7, 90_000);
  stats.received(10, 0, 1, 0);
  stats.received(30_000, 0, 1, 0);
  t.match(stats.report(0), { extendedHighestSequence: 10 });
  stats.received(30_001, 0, 1, 0);
  t.match(stats.report(0), { extendedHighestSequence: 30_001, cumulativeLost: 0 });
  t.end();
});

void t.test('jitter', (t) => {
  const steady = new ReceptionStats(7, 8000);
  for (let i = 0; i < 50; i++) steady.received(i, i * 160, 1, 5 + i * 20);
  t.equal(steady.report(0)?.jitter, 0);

  const late = new ReceptionStats(7, 8000);
  late.received(0, 0xffff_ff60, 1, 0);
  late.received(1, 0, 1, 30);
  t.equal(late.report(0)?.jitter, 80 / 16, '10 ms late, over the wrap of timestamps');
  t.ok(late.jitterMs > 0.6 && late.jitterMs < 0.65);

  const shaking = new ReceptionStats(7, 8000);
  for (let i = 0; i < 500; i++) shaking.received(i, i * 160, 1, i * 20 + (i % 2) * 10);
  t.equal(shaking.report(0)?.jitter, 79, 'settles at the difference of 10 ms');
  t.end();
});

void t.test('round trip by LSR and DLSR', (t) => {
  const stats = new ReceptionStats(7, 90_000);
  stats.received(1, 0, 1, 0);
  stats.senderReported({ seconds: 0x12345678, fraction: 0x9abcdef0 }, 1000);
  t.match(stats.report(3500), { lastSenderReport: 0x56789abc, delaySinceLastSenderReport: 2.5 * 0x1_0000 });
  t.end();
});

void t.test('what was sent', (t) => {
  const stats = new SendStats(9);
  stats.sent(100);
  stats.sent(50);
  const ntp = { seconds: 1, fraction: 2 };
  t.same(stats.senderInfo(ntp, 77), { ssrc: 9, ntp, rtpTimestamp: 77, packetCount: 2, octetCount: 150 });
  t.end();
});
