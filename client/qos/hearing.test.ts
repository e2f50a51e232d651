import t from 'tap';
import type { CallStats, TrackStats } from '../call.ts';
import { hearing } from './hearing.ts';

const track = (packets: number, concealedSamples: number): TrackStats => ({
  mid: '9',
  kind: 'audio',
  direction: 'receive',
  packets,
  bytes: 0,
  lost: 0,
  jitterMs: 0,
  playedSamples: packets * 960,
  concealedSamples,
  bufferedMs: packets * 60,
  bufferedSamples: packets,
});

const stats = (tracks: readonly TrackStats[], roundTripMs: number | null = 40): CallStats => ({
  rung: 'udp',
  controlRung: 'websocket',
  roundTripMs,
  controlRoundTripMs: null,
  controlDelayTrend: null,
  packetsSent: 0,
  bytesSent: 0,
  packetsReceived: 0,
  bytesReceived: 0,
  packetsLost: 0,
  joinMs: 0,
  tracks,
});

t.test('the score is of what was heard in between, the age of way and buffer together', (t) => {
  const clean = hearing(stats([track(100, 5000)]), stats([track(200, 5000)]));
  t.equal(clean.ageMs, 80);
  t.ok((clean.mos ?? 0) > 4.2, String(clean.mos));
  const torn = hearing(stats([track(100, 0)]), stats([track(200, 20_000)]));
  t.ok((torn.mos ?? 5) < (clean.mos ?? 0) - 1, String(torn.mos));
  t.end();
});

t.test('where nothing is heard there is none', (t) => {
  const none = { mos: null, ageMs: null };
  t.strictSame(hearing(stats([track(100, 0)]), stats([track(100, 0)])), none);
  t.strictSame(hearing(stats([]), stats([])), none);
  t.strictSame(hearing(stats([track(1, 0)]), stats([track(2, 0)], null)), none);
  t.end();
});
