import fc from 'fast-check';
import t from 'tap';
import { PathProof, defaultProof } from './path-proof.ts';
import type { ProofResult } from './path-proof.ts';

const { datagramBytes, perSecond, durationMs, lostAfterMs } = defaultProof;
const total = (perSecond * durationMs) / 1000;
const prefix = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

interface Answer {
  readonly afterMs: number;
  readonly bytes: number;
}

interface Run {
  readonly sentAt: readonly number[];
  readonly result: ProofResult;
  readonly endedAt: number;
}

/** Answers as told, by the number of the request; null: none. */
function run(answer: (number: number) => Answer | null, startAt = 0): Run {
  const proof = new PathProof(defaultProof, prefix, startAt);
  const sentAt: number[] = [];
  const pending: { at: number; bytes: number; id: Uint8Array }[] = [];
  let now = startAt;
  for (;;) {
    const id = proof.next(now);
    if (id !== null) {
      const coming = answer(sentAt.length);
      sentAt.push(now);
      if (coming !== null) pending.push({ at: now + coming.afterMs, bytes: coming.bytes, id });
    }
    pending.sort((a, b) => a.at - b.at);
    while ((pending[0]?.at ?? Infinity) <= now) {
      const { id, bytes } = pending.shift() as (typeof pending)[number];
      if (proof.awaits(id)) proof.answered(id, bytes, now);
    }
    const result = proof.verdict(now);
    if (result !== null) return { sentAt, result, endedAt: now };
    const due = Math.min(proof.nextTimeout(), pending[0]?.at ?? Infinity);
    if (!(due >= now) || due === Infinity) throw new Error(`nothing to wait for at ${String(now)}`);
    now = due;
  }
}

const inTime = (): Answer => ({ afterMs: 40, bytes: datagramBytes });

t.test('a path that answers is proven after 3 s: 150 requests at an even pace', (t) => {
  const { sentAt, result, endedAt } = run(inTime, 1000);
  t.same(
    sentAt,
    Array.from({ length: total }, (_, i) => 1000 + i * 20),
  );
  // Up to three answers may be missing, so the last ones are not waited for.
  t.same(result, { proven: true, sent: 150, lost: 0, ms: endedAt - 1000, roundTripMs: 40 });
  t.ok(endedAt <= 4000 && endedAt >= 3980);
  t.end();
});

t.test('2 % may be lost, not more; the end does not wait for what cannot help any more', (t) => {
  const losing = (count: number): Run => run((number) => (number % 20 === 0 && number / 20 < count ? null : inTime()));
  t.match(losing(3).result, { proven: true, lost: 3 });
  const failed = losing(4);
  t.match(failed.result, { proven: false, lost: 4 });
  t.equal(failed.endedAt, 60 * 20 + lostAfterMs, 'when the fourth is given up');
  const dead = run(() => null);
  t.match(dead.result, { proven: false, lost: 4, roundTripMs: null });
  t.equal(dead.endedAt, 60 + lostAfterMs);
  t.end();
});

t.test('answers that are late or small count as lost', (t) => {
  t.match(run(() => ({ afterMs: lostAfterMs + 1, bytes: datagramBytes })).result, { proven: false });
  t.match(run(() => ({ afterMs: 10, bytes: datagramBytes - 4 })).result, { proven: false, sent: 4, lost: 4 });
  t.end();
});

t.test('nobody called for a while: no burst', (t) => {
  const proof = new PathProof(defaultProof, prefix, 0);
  t.ok(proof.next(0));
  t.equal(proof.next(19), null);
  t.ok(proof.next(500));
  t.equal(proof.next(500), null);
  t.equal(proof.next(509), null);
  t.ok(proof.next(510), 'it catches up at twice the pace at most');
  t.end();
});

t.test('only what it asked, and once', (t) => {
  const proof = new PathProof(defaultProof, prefix, 0);
  const id = proof.next(0) as Uint8Array;
  t.ok(proof.awaits(id));
  const other = id.slice();
  other[0] = 99;
  t.notOk(proof.awaits(other));
  const later = id.slice();
  later[11] = 1;
  t.notOk(proof.awaits(later), 'not sent yet');
  later.fill(0xff, 8);
  t.notOk(proof.awaits(later));
  proof.answered(id, datagramBytes, 10);
  t.notOk(proof.awaits(id));
  t.end();
});

t.test('whatever is lost, late or small: proven when 147 of 150 come in time, and never later than 4 s', (t) => {
  const answer = fc.option(
    fc.record({ afterMs: fc.integer({ min: 0, max: 1100 }), bytes: fc.constantFrom(datagramBytes, 100) }),
    { freq: 100 },
  );
  const mostlyGood = fc.oneof({ arbitrary: fc.constant(inTime()), weight: 60 }, { arbitrary: answer, weight: 1 });
  fc.assert(
    fc.property(fc.array(mostlyGood, { minLength: total, maxLength: total }), (answers) => {
      const good = answers.filter(
        (each) => each !== null && each.afterMs <= lostAfterMs && each.bytes >= datagramBytes,
      );
      const { result, sentAt } = run((number) => answers[number] ?? null);
      if (result.proven !== good.length >= 147) throw new Error(JSON.stringify(result));
      if (result.ms > durationMs + lostAfterMs || sentAt.length > total) throw new Error(JSON.stringify(result));
    }),
    { numRuns: 200 },
  );
  t.pass();
  t.end();
});
