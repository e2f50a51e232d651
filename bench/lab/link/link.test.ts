/** The machine behind the emulated link, on a clock of its own. */
import fc from 'fast-check';
import t from 'tap';
import { Departures } from './departures.ts';
import { LinkDirection } from './direction.ts';
import { formatLinkParameters, parseLinkParameters, plainLink } from './parameters.ts';
import type { LinkParameters } from './parameters.ts';
import { seededRandom } from './random.ts';

/** Runs packets through a direction; the first four bytes of each are its number. */
function send(
  link: LinkParameters,
  packets: readonly { readonly at: number; readonly length: number }[],
): { readonly direction: LinkDirection; readonly out: readonly { readonly number: number; readonly at: number }[] } {
  const direction = new LinkDirection(link, seededRandom(7));
  const out: { number: number; at: number }[] = [];
  const drain = (until: number): void => {
    while (direction.nextDue <= until) {
      const at = direction.nextDue;
      direction.take(at, (bytes) => {
        out.push({ number: new DataView(bytes.buffer).getUint32(0), at });
      });
    }
  };
  for (const [number, { at, length }] of packets.entries()) {
    drain(at);
    const packet = new Uint8Array(length);
    new DataView(packet.buffer).setUint32(0, number);
    direction.put(packet, length, at);
  }
  drain(Number.MAX_VALUE);
  return { direction, out };
}

const paced = (count: number, everyMs: number, length = 100): { at: number; length: number }[] =>
  Array.from({ length: count }, (_, index) => ({ at: index * everyMs, length }));

t.test('departures come out by time, and equal times in the order in which they came', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.boolean()), { maxLength: 200 }), (steps) => {
      const departures = new Departures();
      let model: { due: number; id: number }[] = [];
      for (const [id, [due, alsoDrop]] of steps.entries()) {
        departures.add(due, Uint8Array.of(id & 0xff), 1);
        model = [...model, { due, id }].sort((a, b) => a.due - b.due || a.id - b.id);
        if (!alsoDrop) continue;
        if (departures.firstDue !== model[0]?.due || departures.first()?.bytes[0] !== (model[0].id & 0xff))
          return false;
        departures.drop();
        model.shift();
      }
      return departures.size === model.length;
    }),
  );
  t.end();
});

t.test('delay and jitter: within their bounds, in order unless asked otherwise', (t) => {
  const jittery = { ...plainLink, delayMs: 25, jitterMs: 10 };
  const { out } = send(jittery, paced(500, 1));
  t.same(
    out.map(({ number }) => number),
    Array.from({ length: 500 }, (_, index) => index),
  );
  const times = out.map(({ number, at }) => at - number);
  t.ok(times.every((ms) => ms >= 15 && ms <= 35));
  const reordered = send({ ...jittery, reorder: true }, paced(500, 1)).out;
  t.ok(reordered.some(({ number }, index) => number !== index));
  t.end();
});

t.test('a rate spaces packets out, and a full queue drops the newest', (t) => {
  // 1000 bytes at 800 kbit/s take 10 ms each; the queue holds five of the ten that come at once.
  const burst = Array.from({ length: 10 }, () => ({ at: 0, length: 1000 }));
  const { direction, out } = send({ ...plainLink, kilobitsPerSecond: 800, queueBytes: 5000 }, burst);
  t.same(
    out,
    [10, 20, 30, 40, 50].map((at, number) => ({ number, at })),
  );
  t.match(direction.counters, { packets: 10, overflowed: 5, delivered: 5, deliveredBytes: 5000, maxHeldBytes: 5000 });
  t.end();
});

t.test('the same seed loses the same packets, and about as many as asked', (t) => {
  const link = { ...plainLink, lossPercent: 2 };
  const { direction, out } = send(link, paced(50_000, 1));
  t.same(out, send(link, paced(50_000, 1)).out);
  const { lost, delivered } = direction.counters;
  t.equal(lost + delivered, 50_000);
  t.ok(Math.abs(lost / 500 - 2) < 0.3, `${String(lost)} of 50000`);
  t.end();
});

t.test('the text form says everything, and nonsense is refused', (t) => {
  const full = {
    delayMs: 25,
    jitterMs: 3.5,
    reorder: true,
    lossPercent: 2,
    kilobitsPerSecond: 5000,
    queueBytes: 64_000,
  };
  t.same(parseLinkParameters(formatLinkParameters(full)), full);
  t.same(parseLinkParameters(''), plainLink);
  for (const text of ['delay', 'delay=', 'delay=-1', 'loss=101', 'speed=3', 'rate=0', 'toString=1']) {
    t.throws(() => parseLinkParameters(text), RangeError, text);
  }
  t.end();
});
