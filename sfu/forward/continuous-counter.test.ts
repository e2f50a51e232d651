import t from 'tap';
import { ContinuousCounter } from './continuous-counter.ts';

void t.test('goes on over sources, keeps distances within them', (t) => {
  const counter = new ContinuousCounter(100);
  t.equal(counter.map(32_766, 15), 100);
  t.equal(counter.map(0, 15), 102, 'over the wrap, with one missing');
  t.equal(counter.map(32_767, 15), 101, 'late');
  t.equal(counter.map(0, 15), 102, 'again: another packet of that frame');
  counter.restart();
  t.equal(counter.map(7, 15), 103);
  t.equal(counter.map(6, 15), 102, 'older than the first: the receiver has its own opinion of it');
  counter.restart();
  t.equal(counter.map(126, 7), 104, '7 bits');
  t.equal(counter.map(1, 7), 107);
  t.end();
});

void t.test('many rounds', (t) => {
  const counter = new ContinuousCounter(0);
  for (let i = 0; i < 1000; i++) t.equal(counter.map(i & 0x7f, 7), i);
  t.end();
});
