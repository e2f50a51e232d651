import fc from 'fast-check';
import t from 'tap';
import { SequenceMapper } from './sequence-mapper.ts';

function started(at: number, first = 1000): SequenceMapper {
  const mapper = new SequenceMapper(first);
  mapper.restart(at);
  return mapper;
}

void t.test('distances are kept: losses, reordering, the wrap', (t) => {
  const mapper = started(65_534);
  t.equal(mapper.map(65_534), 1000);
  t.equal(mapper.map(1), 1003);
  t.equal(mapper.map(65_535), 1001);
  t.equal(mapper.map(0), 1002);
  t.equal(mapper.highest, 1003);
  t.end();
});

void t.test('a swallowed packet leaves no gap', (t) => {
  const mapper = started(10);
  t.equal(mapper.map(10), 1000);
  t.equal(mapper.swallow(11), -1);
  t.equal(mapper.swallow(12), -1);
  t.equal(mapper.map(13), 1001);
  t.equal(mapper.map(16), 1004, 'and lost ones do');
  t.equal(mapper.map(14), 1002);
  t.end();
});

void t.test('a packet from before a swallowed one keeps its place', (t) => {
  const mapper = started(10);
  mapper.map(10);
  mapper.swallow(12);
  t.equal(mapper.map(13), 1002);
  t.equal(mapper.map(11), 1001);
  t.end();
});

void t.test('what comes too late to be swallowed has a gap to fill', (t) => {
  const mapper = started(10);
  mapper.map(10);
  t.equal(mapper.map(12), 1002);
  t.equal(mapper.swallow(11), 1001);
  t.equal(mapper.swallow(11), -1, 'once');
  t.equal(mapper.map(11), -1);
  t.end();
});

void t.test('late, but nothing newer went out: swallowed all the same', (t) => {
  const mapper = started(10);
  mapper.map(10);
  t.equal(mapper.swallow(13), -1);
  t.equal(mapper.swallow(12), -1);
  t.equal(mapper.map(11), 1001);
  t.equal(mapper.map(14), 1002);
  t.end();
});

void t.test('refused: twice, from before the start, older than the window', (t) => {
  const mapper = started(10);
  t.equal(mapper.map(9), -1);
  mapper.map(10);
  t.equal(mapper.map(10), -1);
  t.equal(mapper.swallow(9), -1);
  mapper.swallow(11);
  t.equal(mapper.map(11), -1);
  t.equal(mapper.map(2010), 2999);
  t.equal(mapper.map(986), -1);
  t.equal(mapper.map(987), 1976);
  t.end();
});

void t.test('a new source goes on behind the highest number', (t) => {
  const mapper = started(10);
  mapper.map(20);
  mapper.restart(40_000);
  t.equal(mapper.map(40_000), 1011);
  t.equal(mapper.map(39_999), -1);
  t.end();
});

void t.test('the window forgets a round ago', (t) => {
  const mapper = started(0, 0);
  for (let i = 0; i < 5000; i += 2) {
    mapper.map(i);
    if (i % 10 === 0) mapper.swallow(i + 1);
    else mapper.map(i + 1);
  }
  t.equal(mapper.highest, 4999 - 500);
  t.end();
});

void t.test('agrees with a plain model over any deliveries', (t) => {
  const step = fc.record({ by: fc.integer({ min: -30, max: 30 }), padding: fc.boolean() });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 0xffff }),
      fc.array(step, { maxLength: 200, size: 'max' }),
      (start, steps) => {
        const mapper = started(start, 500);
        const swallowed = new Set<number>();
        const done = new Set<number>();
        let highest = 499;
        let at = 0;
        for (const { by, padding } of steps) {
          at += by;
          const sequenceNumber = (start + at) & 0xffff;
          const place = 500 + at - [...swallowed].filter((number) => number < at).length;
          const refused = at < 0 || done.has(at);
          if (!padding) {
            t.equal(mapper.map(sequenceNumber), refused ? -1 : place);
            if (!refused) highest = Math.max(highest, place);
          } else if (!refused && place > highest) {
            t.equal(mapper.swallow(sequenceNumber), -1);
            swallowed.add(at);
          } else {
            t.equal(mapper.swallow(sequenceNumber), refused ? -1 : place);
          }
          if (at >= 0) done.add(at);
        }
      },
    ),
    { numRuns: 50 },
  );
  t.end();
});
