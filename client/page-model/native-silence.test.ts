import t from 'tap';
import { NativeSilence } from './native-silence.ts';

const report = (sent: number, time = 0) => ({ nomination: 0, time, sent, sentBytes: 0, received: 0, receivedBytes: 0 });

/** Looks every 100 ms, and has a report every 250 ms; `sentPerMs` by the server, of which `heardUntil` is heard. */
function silentAfter(sentPerMs: number, heardUntil: number, stopAt = 5_000): number | null {
  const silence = new NativeSilence();
  for (let now = 0; now <= stopAt; now += 50) {
    if (now % 250 === 0) silence.reported(report(Math.floor(now * sentPerMs), now));
    if (now % 100 === 0 && silence.look(Math.min(now, heardUntil), now)) return now;
  }
  return null;
}

t.test('media that is heard is not silent', (t) => {
  t.equal(silentAfter(0.05, Infinity), null);
  t.end();
});

t.test('sound that is sent and not heard: within 650 ms', (t) => {
  for (const heardUntil of [1_000, 1_030, 1_110, 1_249]) {
    const at = silentAfter(0.05, heardUntil) ?? Infinity;
    t.ok(at - heardUntil <= 650, `${String(at - heardUntil)} ms`);
    t.ok(at - heardUntil > 450);
  }
  t.end();
});

t.test('where nobody speaks, reports alone are no reason', (t) => {
  t.equal(silentAfter(0.003, 1_000, 20_000), null);
  t.equal(silentAfter(0, 1_000), null);
  t.end();
});

t.test('who stood still has not listened', (t) => {
  const silence = new NativeSilence();
  silence.look(1, 0);
  for (const sent of [10, 30, 60]) silence.reported(report(sent));
  t.equal(silence.look(1, 5_000), false);
  t.equal(silence.look(1, 5_100), false, 'the reports before count no more');
  for (const sent of [70, 90, 120]) silence.reported(report(sent));
  for (let now = 5_200; now < 5_450; now += 100) t.equal(silence.look(1, now), false);
  t.equal(silence.look(1, 5_450), true);
  silence.heard(5_450);
  t.equal(silence.look(1, 5_550), false, 'it came after all');
  t.end();
});

t.test('the count of the server wraps', (t) => {
  const silence = new NativeSilence();
  silence.look(1, 0);
  for (const sent of [2 ** 32 - 2, 3, 10]) silence.reported(report(sent));
  for (let now = 100; now < 450; now += 100) silence.look(1, now);
  t.equal(silence.look(1, 450), true);
  t.end();
});
