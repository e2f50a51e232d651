/**
 * Random lives of a session over HTTP carriers: no control frame is lost, doubled or reordered on a connection, and none
 * between connections, whatever the network does. `node dist/tunnel-protocol/exchange/exchange.property.test.js
 * 100000` runs as many, and tells how far it is.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { closeCodes } from '../control/close-codes.ts';
import { controlLimits } from '../control/limits.ts';
import { exchangeLimits } from './limits.ts';
import { fairWeather } from './virtual-network.ts';
import type { Weather } from './virtual-network.ts';
import { VirtualTunnel } from './virtual-tunnel.ts';
import type { Direction, TunnelOptions } from './virtual-tunnel.ts';

const usualRuns = 60;
const runs = Number(process.argv[2] ?? usualRuns);
const runsAtOnce = 1000;
if (runs > usualRuns) t.setTimeout(0);

type Side = 'client' | 'server';
type Step =
  | { readonly do: 'send'; readonly side: Side; readonly bytes: number; readonly count: number }
  | { readonly do: 'media'; readonly side: Side; readonly count: number; readonly everyMs: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'weather'; readonly weather: Weather }
  | { readonly do: 'connect' };

const side = fc.constantFrom<Side>('client', 'server');
const few = fc.integer({ min: 1, max: 4 });
const rarely = (most: number) =>
  fc.oneof(fc.constant(0), fc.double({ min: 0, max: most, noNaN: true, noDefaultInfinity: true }));
const weather: fc.Arbitrary<Weather> = fc
  .record({
    requestLost: rarely(0.4),
    answerLost: rarely(0.4),
    silent: rarely(0.6),
    repeated: rarely(0.5),
    cut: rarely(0.1),
    leastDelayMs: fc.integer({ min: 0, max: 50 }),
    spreadMs: fc.integer({ min: 0, max: 400 }),
    chunkBytes: fc.constantFrom(5, 100, 2000, 20_000, 65_536),
    full: rarely(0.4),
  })
  .map(({ spreadMs, ...rest }) => ({ ...rest, mostDelayMs: rest.leastDelayMs + spreadMs }));
const bytes = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 12, max: 300 }) },
  { weight: 3, arbitrary: fc.integer({ min: 2000, max: 9000 }) },
  { weight: 1, arbitrary: fc.constant(controlLimits.maxMessageBytes) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('send'), side, bytes, count: few }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('media'), side, count: fc.nat(20), everyMs: fc.constantFrom(0, 5, 20) }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('advance'), ms: fc.nat(600) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('advance'), ms: fc.integer({ min: 4000, max: 70_000 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('weather'), weather }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('connect') }) },
);
const carriers = fc.constantFrom<TunnelOptions>(
  { carrier: 'long-poll' },
  { carrier: 'long-poll', polls: 2, posts: 4 },
  { carrier: 'http-stream' },
  { carrier: 'http-stream', posts: 4 },
  { carrier: 'http-stream', streamUpload: true },
);
const options = fc.tuple(carriers, fc.boolean()).map(([carrier, patient]) => ({ ...carrier, patient }));

class Life {
  readonly tunnel: VirtualTunnel;
  readonly accepted: Record<Side, string[]> = { client: [], server: [] };
  readonly #checked = new Map<Direction, number>();
  readonly #datagrams = new Set<number>();
  #sent = 0;
  #media = 0;

  constructor(seed: number, chosen: TunnelOptions) {
    this.tunnel = new VirtualTunnel(seed, chosen);
    this.tunnel.connect();
  }

  take(step: Step): void {
    const { tunnel } = this;
    switch (step.do) {
      case 'send':
        for (let i = 0; i < step.count; i++) {
          const text = `${String(this.#sent++)} `.padEnd(step.bytes, 'x');
          if (tunnel.sendText(tunnel[step.side], text)) this.accepted[step.side].push(text);
        }
        break;
      case 'media':
        for (let i = 0; i < step.count; i++) {
          tunnel.sendDatagram(tunnel[step.side], rtp(this.#media++));
          tunnel.advance(step.everyMs);
        }
        break;
      case 'advance':
        tunnel.advance(step.ms);
        break;
      case 'weather':
        tunnel.network.weather = step.weather;
        break;
      case 'connect':
        tunnel.connect();
    }
    this.#check();
  }

  finish(): void {
    const { tunnel } = this;
    tunnel.network.weather = fairWeather;
    // An end may have to find out first that its connection is dead, and pauses before it tries again; and of streams
    // that die without a word, one after the other, the second is replaced at its rotation only.
    tunnel.advance(exchangeLimits.rotateAfterMs + exchangeLimits.answerAfterMs + 5000);
    // Keep-alives may be on their way at any moment.
    for (let i = 0; i < 100 && !this.#isQuiet(); i++) tunnel.advance(20);
    this.#check();
    assert.deepEqual(tunnel.client.errors.concat(tunnel.server.errors), []);
    assert.deepEqual(tunnel.server.texts.map(brief), this.accepted.client.map(brief));
    assert.deepEqual(tunnel.client.texts.map(brief), this.accepted.server.map(brief));
    for (const end of [tunnel.client, tunnel.server]) assert.equal(end.endpoint.queuedBytes, 0);
    assert.ok(
      !tunnel.events.includes(`closed ${String(closeCodes.replaced.wire)}`),
      'an older one replaced a newer one',
    );
    // The last connection carried everything it was given.
    const { current } = tunnel;
    assert.ok(current !== null);
    assert.ok(current.server?.ended === null, 'the last connection lives');
    assert.deepEqual(current.up.delivered, current.up.sent);
    assert.deepEqual(current.down.delivered, current.down.sent);
    assert.equal(current.client.heldBytes + current.server.heldBytes, 0);
    // What a keep-alive brought is acknowledged with the next one at the latest.
    assert.ok(current.client.unackedFrames + current.server.unackedFrames < 8);
  }

  #isQuiet(): boolean {
    const { current } = this.tunnel;
    return current !== null && [current.up, current.down].every((way) => way.sent.length === way.delivered.length);
  }

  #check(): void {
    for (const { up, down, client, server } of this.tunnel.connections) {
      for (const way of [up, down]) {
        const from = this.#checked.get(way) ?? 0;
        const { length } = way.delivered;
        assert.deepEqual(way.delivered.slice(from), way.sent.slice(from, length), 'none lost, doubled or reordered');
        this.#checked.set(way, length);
      }
      assert.equal(server?.fault ?? null, null);
      for (const end of [client, server]) {
        assert.ok((end?.heldBytes ?? 0) <= exchangeLimits.maxHeldBytes);
        assert.ok((end?.unackedFrames ?? 0) <= exchangeLimits.maxUnackedFrames);
      }
    }
    for (const { datagrams } of [this.tunnel.client, this.tunnel.server]) {
      for (const datagram of datagrams.splice(0)) {
        const count = (datagram[2] as number) * 256 + (datagram[3] as number);
        assert.ok(!this.#datagrams.has(count), 'no datagram comes twice');
        this.#datagrams.add(count);
      }
    }
  }
}

/** Number and length: what a failure prints. */
function brief(text: string): string {
  return `${text.slice(0, text.indexOf(' '))}: ${String(text.length)}`;
}

function rtp(count: number): Uint8Array {
  const packet = new Uint8Array(20 + (count % 900));
  packet.set([0x80, 96, count >>> 8, count, count >>> 24, count >>> 16]);
  return packet;
}

const property = fc.property(
  fc.integer(),
  options,
  fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
  (seed, chosen, steps) => {
    const life = new Life(seed, chosen);
    for (const one of steps) life.take(one);
    life.finish();
  },
);

t.test('nothing reliable is lost, doubled or reordered over a network of any kind', (t) => {
  for (let done = 0; done < runs; done += runsAtOnce) {
    fc.assert(property, { numRuns: Math.min(runsAtOnce, runs - done) });
    t.pass(`${String(Math.min(done + runsAtOnce, runs))} of ${String(runs)} sequences`);
  }
  t.end();
});
