import t from 'tap';
import { RetransmissionTimer } from './retransmission.ts';

/** The instants at which a flight sent at 0 goes out again. */
function resends(timer: RetransmissionTimer): number[] {
  const at: number[] = [];
  for (let next = timer.nextTimeout(); next !== null && !timer.expired(next); next = timer.nextTimeout()) {
    if (timer.takeDue(next)) at.push(next);
  }
  return at;
}

t.test('doubles up to 2 s and gives up after 30 s', (t) => {
  const timer = new RetransmissionTimer(null);
  t.equal(timer.nextTimeout(), null);
  timer.sent(0);
  t.same(resends(timer).slice(0, 7), [150, 450, 1050, 2250, 4250, 6250, 8250]);
  t.equal(timer.nextTimeout(), 30_000);
  t.equal(timer.expired(29_999), false);
  t.equal(timer.expired(30_000), true);
  t.end();
});

t.test('begins with twice the round trip, if it is known or was measured', (t) => {
  t.same(resendAfter(new RetransmissionTimer(300)), 600);
  t.same(resendAfter(new RetransmissionTimer(1)), 100);
  t.same(resendAfter(new RetransmissionTimer(9999)), 2000);
  const timer = new RetransmissionTimer(null);
  timer.sent(0);
  timer.answered(120);
  timer.sent(120);
  t.equal(timer.nextTimeout(), 360);
  timer.takeDue(360);
  timer.answered(400);
  timer.sent(400);
  t.equal(timer.nextTimeout(), 640, 'an answer to what was sent twice measures nothing (Karn)');
  t.end();
});

function resendAfter(timer: RetransmissionTimer): number | null {
  timer.sent(0);
  return timer.nextTimeout();
}

t.test('answers a retransmission, but neither a doubled datagram nor a flood', (t) => {
  const timer = new RetransmissionTimer(null);
  timer.sent(0);
  t.equal(timer.takeAnswer(10), false);
  t.equal(timer.takeAnswer(50), true);
  t.equal(timer.takeAnswer(60), false);
  t.equal(timer.nextTimeout(), 200, 'the own retransmission moves');
  timer.stop(1000);
  let answers = 0;
  for (let now = 1000; now < 11_000; now++) if (timer.takeAnswer(now)) answers++;
  t.ok(answers <= 8 + 20, `${String(answers)} in 10 s`);
  t.equal(timer.nextTimeout(), null);
  t.end();
});

t.test('a refusal leaves 5 s, and one too many none', (t) => {
  const timer = new RetransmissionTimer(null);
  timer.refused(100, false);
  t.equal(timer.nextTimeout(), 5100);
  timer.sent(200);
  timer.refused(4000, false);
  t.equal(timer.expired(5099), false);
  t.equal(timer.expired(5100), true, 'the first counts');
  timer.refused(4100, true);
  t.equal(timer.expired(4100), true);
  t.end();
});
