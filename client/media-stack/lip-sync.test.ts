/** Pictures wait for the sound of the same person, by the sender reports of both. */
import t from 'tap';
import { LipSync } from './lip-sync.ts';

const epochSeconds = 3_900_000_000;
const audioAtReport = 2 ** 32 - 480;
const videoAtReport = 90_000;

/** NTP time so many ms after the reports. */
function ntp(ms: number): { seconds: number; fraction: number } {
  return { seconds: epochSeconds + Math.floor(ms / 1_000), fraction: Math.round(((ms % 1_000) / 1_000) * 2 ** 32) };
}

/** One person in an audio and a video slot, whose sound of server time 0 is heard here at `audioDelayMs`. */
function person(audioDelayMs: number): {
  sync: LipSync;
  video: (serverMs: number) => number;
  hear: (serverMs: number, atMs: number) => void;
} {
  const sync = new LipSync();
  sync.add('a', 'audio');
  sync.add('v', 'video');
  sync.assign('a', 'ada');
  sync.assign('v', 'ada');
  sync.reported('a', ntp(0), audioAtReport);
  sync.reported('v', ntp(0), videoAtReport);
  const hear = (serverMs: number, atMs: number): void => {
    sync.heard('a', (audioAtReport + serverMs * 48) >>> 0, atMs);
  };
  hear(0, audioDelayMs);
  return { sync, hear, video: (serverMs) => (videoAtReport + serverMs * 90) >>> 0 };
}

t.test('a picture that comes before its sound waits, a late one does not', (t) => {
  const { sync, video } = person(120);
  t.ok(Math.abs(sync.wait('v', video(0), 40) - 80) < 1);
  t.ok(Math.abs(sync.wait('v', video(100), 150) - 70) < 1, 'also later, and past the wrap of the sound’s timestamps');
  t.equal(sync.wait('v', video(0), 130), 0);
  t.end();
});

t.test('sound that is delayed more takes the pictures along', (t) => {
  const { sync, hear, video } = person(60);
  for (let ms = 20; ms <= 2_000; ms += 20) hear(ms, ms + 160);
  t.ok(Math.abs(sync.wait('v', video(2_000), 2_000) - 160) < 5);
  hear(2_020, 2_020 + 900);
  t.ok(sync.wait('v', video(2_020), 2_620) > 290, 'a jump counts at once');
  t.end();
});

t.test('without a report, sound or the same person there is nothing to wait for', (t) => {
  const { sync, video } = person(120);
  t.ok(sync.wait('v', video(0), 0) > 0);
  t.equal(sync.wait('v', video(0), 1_500), 0, 'sound of long ago');
  t.equal(sync.wait('v', video(5_000), 0), 0, 'longer than any sound is delayed: reports that cannot be right');
  sync.assign('v', 'grace');
  t.equal(sync.wait('v', video(0), 0), 0, 'another person');
  sync.assign('v', null);
  t.equal(sync.wait('v', video(0), 0), 0, 'nobody');
  t.equal(sync.wait('x', video(0), 0), 0, 'no slot');
  const silent = new LipSync();
  silent.add('v', 'video');
  silent.assign('v', 'ada');
  t.equal(silent.wait('v', 0, 0), 0, 'no report');
  t.end();
});
