import t from 'tap';
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import { NetworkMemory, createPathMemory, holdMs, networkFacts, networkId } from './path-memory.ts';
import type { PathMemory } from './path-memory.ts';

const day = 86_400_000;

/** A clock whose one timer is fired by hand. */
class HandClock implements ClientClock {
  fire: (() => void) | null = null;
  waitMs = 0;

  now(): number {
    return 0;
  }

  setTimer(fire: () => void, ms: number): unknown {
    this.fire = fire;
    this.waitMs = ms;
    return fire;
  }

  clearTimer(): void {
    this.fire = null;
  }
}

function memoryOn(memory: PathMemory, clock = new HandClock(), unixNow = () => 1e12): NetworkMemory {
  return new NetworkMemory({ memory, edgeHost: 'edge.example', clock, unixNow });
}

t.test('a rung that stays is remembered, one that does not is not', (t) => {
  const memory = createPathMemory();
  const clock = new HandClock();
  const call = memoryOn(memory, clock);
  t.equal(call.recall(), null);
  call.moved('websocket');
  t.equal(clock.waitMs, holdMs);
  call.moved('turn-tls');
  clock.fire?.();
  t.equal(memoryOn(memory).recall(), 'turn-tls');
  call.moved('udp');
  call.moved(null);
  t.equal(clock.fire, null, 'what the application asked for says nothing of the network');
  call.moved('udp');
  call.close();
  t.equal(clock.fire, null);
  t.equal(memoryOn(memory).recall(), 'turn-tls');
  t.end();
});

t.test('old notes, times to come and words of strangers are not believed', (t) => {
  const network = networkId('edge.example');
  const noted = (rung: Rung, at: number): Rung | null => {
    const memory = createPathMemory();
    memory.set(network, { rung, at });
    return memoryOn(memory).recall();
  };
  t.equal(noted('websocket', 1e12 - 29 * day), 'websocket');
  t.equal(noted('websocket', 1e12 - 31 * day), null);
  t.equal(noted('websocket', 1e12 + day), null);
  t.equal(noted('websocket', NaN), null);
  t.equal(noted('carrier-pigeon' as Rung, 1e12), null);
  t.end();
});

t.test('a network is named by what it looks like from here and by the edge, and tells neither', (t) => {
  const id = networkId('Edge.example:8443', ['192.0.2.7/24', '010200C0']);
  t.match(id, /^[\w-]{22}$/);
  t.equal(networkId('edge.example:8443', ['192.0.2.7/24', '010200C0']), id);
  t.not(networkId('edge.example', ['192.0.2.7/24', '010200C0']), id);
  t.not(networkId('edge.example:8443', ['192.0.2.8/24', '010200C0']), id);
  t.same(networkFacts(), networkFacts());
  t.end();
});

t.test('the memory of a process is bounded', (t) => {
  const memory = createPathMemory();
  for (let n = 0; n < 100; n++) memory.set(`network ${String(n)}`, { rung: 'udp', at: n });
  memory.set('network 40', { rung: 'udp', at: 1 });
  memory.set('network 100', { rung: 'udp', at: 1 });
  t.equal(memory.get('network 36'), undefined);
  t.ok(memory.get('network 40'));
  t.ok(memory.get('network 99'));
  t.end();
});

t.test("an application's memory that throws is reported, and the call goes on", async (t) => {
  const failure = new Error('disk full');
  const memory: PathMemory = {
    get: () => {
      throw failure;
    },
    set: () => {
      throw failure;
    },
  };
  const reported: unknown[] = [];
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => reported.push(error));
  t.teardown(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of before) process.on('uncaughtException', listener);
  });
  const clock = new HandClock();
  const call = memoryOn(memory, clock);
  t.equal(call.recall(), null);
  call.moved('udp');
  clock.fire?.();
  await new Promise((resolve) => setImmediate(resolve));
  t.same(reported, [failure, failure]);
});
