import t from 'tap';
import { SignalDecodeError, decodeSignalRequest } from '../../tunnel-protocol/index.ts';
import type { QosEvent } from '../../tunnel-protocol/index.ts';
import type { CallStats, RungAttempt, TrackStats } from '../call.ts';
import { JoinTimeline } from './join-timeline.ts';
import { QosRecorder } from './qos-recorder.ts';

const audio: TrackStats = {
  mid: '9',
  kind: 'audio',
  direction: 'receive',
  packets: 1000,
  bytes: 100_000,
  lost: 10,
  jitterMs: 3.14159,
  playedSamples: 960_000,
  concealedSamples: 9_600,
  bufferedMs: 50_000,
  bufferedSamples: 1_000,
};

function stats(tracks: readonly TrackStats[], changes: Partial<CallStats> = {}): CallStats {
  return {
    rung: 'udp',
    controlRung: 'websocket',
    roundTripMs: 30,
    controlRoundTripMs: null,
    controlDelayTrend: null,
    packetsSent: 0,
    bytesSent: 0,
    packetsReceived: 0,
    bytesReceived: 0,
    packetsLost: 0,
    joinMs: 100,
    tracks,
    ...changes,
  };
}

const recorder = (): QosRecorder =>
  new QosRecorder({ client: { kind: 'node', version: '1' }, call: 7, rung: 'udp', now: 1000 });
const take = (of: QosRecorder, now: number, tracks = [audio], attempts: readonly RungAttempt[] = []): QosEvent =>
  of.take({ stats: stats(tracks), attempts, join: new JoinTimeline().steps }, false, now);

t.test('figures are of the interval, and the edge decodes them', (t) => {
  const calls = recorder();
  const first = take(calls, 31_000);
  t.equal(first.seq, 0);
  t.equal(first.durationMs, 30_000);
  t.match(first.tracks[0], { packets: 1000, lost: 10, jitterMs: 3.1, concealedFraction: 0.01, playoutDelayMs: 50 });
  t.equal(first.tracks[0]?.bitsPerSecond, Math.round((100_000 * 8000) / 30_000));
  t.ok((first.mos ?? 0) > 4 && (first.mos ?? 5) < 4.4, String(first.mos));
  const later = { ...audio, packets: 1500, bytes: 150_000, playedSamples: 1_920_000, concealedSamples: 9_600 };
  const second = take(calls, 61_000, [later]);
  t.match(second, { seq: 1, durationMs: 60_000, intervalMs: 30_000, changes: [] });
  t.match(second.tracks[0], { packets: 500, lost: 0, concealedFraction: 0 });
  t.equal(second.tracks[0]?.playoutDelayMs, null, 'nothing came out of the buffer');
  for (const event of [first, second]) {
    const decoded = decodeSignalRequest(JSON.stringify({ type: 'telemetry', id: 1, event }));
    t.notOk(decoded instanceof SignalDecodeError);
    t.strictSame(decoded, { type: 'telemetry', id: 1, event });
  }
  t.end();
});

t.test('without a decoder, loss counts as what was made up; without media or a round trip there is no score', (t) => {
  const bare: TrackStats = { ...audio, playedSamples: undefined, concealedSamples: undefined };
  const event = take(recorder(), 2000, [{ ...bare, bufferedMs: undefined, bufferedSamples: undefined }]);
  t.equal(event.tracks[0]?.concealedFraction, null);
  t.ok((event.mos ?? 0) > 4);
  const { mos } = recorder().take(
    { stats: stats([audio], { roundTripMs: null }), attempts: [], join: new JoinTimeline().steps },
    true,
    2000,
  );
  t.equal(mos, null);
  t.equal(take(recorder(), 2000, [{ ...audio, packets: 0 }]).mos, null);
  t.end();
});

t.test('rungs: dwells add up to the interval, changes and reconnections are told once', (t) => {
  const calls = recorder();
  calls.rungChanged({ from: 'udp', to: 'websocket', reason: 'rung-failed' }, 11_000);
  calls.rungChanged({ from: 'websocket', to: 'udp', reason: 'better-rung-proven' }, 26_000);
  calls.reconnected('control');
  const event = take(calls, 31_000);
  t.strictSame(event.dwells, [
    { rung: 'udp', ms: 15_000 },
    { rung: 'websocket', ms: 15_000 },
  ]);
  t.strictSame(
    event.changes.map(({ to }) => to),
    ['udp', 'websocket', 'udp'],
  );
  t.strictSame(event.reconnections, { media: 0, control: 1 });
  const next = take(calls, 41_000);
  t.strictSame([next.dwells, next.changes], [[{ rung: 'udp', ms: 10_000 }], []]);
  t.strictSame(next.reconnections, { media: 0, control: 0 });
  for (let i = 0; i < 100; i++) calls.rungChanged({ from: 'udp', to: 'udp', reason: 'requested' }, 41_000);
  t.equal(take(calls, 42_000).changes.length, 32);
  t.end();
});

t.test('an attempt is told once, when it has ended', (t) => {
  const calls = recorder();
  const pending: RungAttempt = { rung: 'udp', outcome: 'pending', ms: 5 };
  const failed: RungAttempt = { rung: 'turn-tls', outcome: 'failed', ms: 12.34, reason: 'no answer' };
  const control: RungAttempt = { rung: 'websocket', outcome: 'connected', ms: 7, channel: 'control' };
  t.strictSame(take(calls, 2000, [], [pending, failed, control]).attempts, [
    { rung: 'turn-tls', channel: 'media', outcome: 'failed', ms: 12.3 },
    { rung: 'websocket', channel: 'control', outcome: 'connected', ms: 7 },
  ]);
  t.strictSame(take(calls, 3000, [], [{ ...pending, outcome: 'connected' }, failed, control]).attempts, [
    { rung: 'udp', channel: 'media', outcome: 'connected', ms: 5 },
  ]);
  t.end();
});

t.test('the first time of a step of the join counts', (t) => {
  const timeline = new JoinTimeline();
  timeline.reached('iceMs', 10);
  timeline.reached('iceMs', 20);
  t.strictSame(timeline.steps, { sessionMs: null, controlMs: null, iceMs: 10, dtlsMs: null, firstMediaMs: null });
  t.end();
});
