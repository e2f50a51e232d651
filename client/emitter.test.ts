import t from 'tap';
import { Emitter } from './emitter.ts';

interface Events {
  tick: number;
}

t.test('on, once, unsubscribe', (t) => {
  const emitter = new Emitter<Events>();
  const seen: string[] = [];
  const off = emitter.on('tick', (n) => seen.push(`on ${String(n)}`));
  emitter.once('tick', (n) => seen.push(`once ${String(n)}`));
  emitter.emit('tick', 1);
  emitter.emit('tick', 2);
  off();
  off();
  emitter.emit('tick', 3);
  t.same(seen, ['on 1', 'once 1', 'on 2']);
  t.end();
});

t.test('a listener that throws does not keep the event from the others', async (t) => {
  const emitter = new Emitter<Events>();
  const seen: number[] = [];
  emitter.on('tick', () => {
    throw new Error('of the listener');
  });
  emitter.on('tick', (n) => seen.push(n));
  const thrown: unknown[] = [];
  const collect = (error: unknown): number => thrown.push(error);
  process.once('uncaughtException', collect);
  emitter.emit('tick', 1);
  t.same(seen, [1]);
  await new Promise(setImmediate);
  process.removeListener('uncaughtException', collect);
  t.match(thrown, [{ message: 'of the listener' }]);
});
