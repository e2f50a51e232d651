import t from 'tap';
import type { ClientClock } from '../clock.ts';
import { NetworkWatch } from './network-watch.ts';

t.test('another address or gateway is told once; nothing after the end', (t) => {
  const timers = new Set<() => void>();
  const clock: ClientClock = {
    now: () => 0,
    setTimer: (fire) => {
      timers.add(fire);
      return fire;
    },
    clearTimer: (timer) => {
      timers.delete(timer as () => void);
    },
  };
  const look = (): void => {
    for (const fire of [...timers]) {
      timers.delete(fire);
      fire();
    }
  };
  let facts = ['192.0.2.7/24', '010200C0'];
  let changes = 0;
  const watch = new NetworkWatch(
    clock,
    () => {
      changes += 1;
    },
    () => facts,
  );
  look();
  t.equal(changes, 0);
  facts = ['198.51.100.7/24', '016433C6'];
  look();
  look();
  t.equal(changes, 1);
  facts = [];
  look();
  t.equal(changes, 2);
  watch.close();
  watch.close();
  t.equal(timers.size, 0);
  t.end();
});
