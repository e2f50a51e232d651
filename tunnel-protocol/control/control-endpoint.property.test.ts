/**
 * Random lives of a session: no message is lost, doubled or reordered, whenever connections break.
 * `node dist/tunnel-protocol/control/control-endpoint.property.test.js 100000` runs as many, and tells how far it is.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { ControlEndpoint } from './control-endpoint.ts';
import type { ControlFrame } from './control-frames.ts';
import { encodeControlFrame } from './control-frames.ts';
import { controlLimits } from './limits.ts';
import { VirtualPair } from './virtual-pair.ts';

const usualRuns = 3000;
const runs = Number(process.argv[2] ?? usualRuns);
const runsAtOnce = 10_000;
if (runs > usualRuns) t.setTimeout(0);

type Side = 'client' | 'server';
type Step =
  | { readonly do: 'send'; readonly side: Side; readonly bytes: number; readonly count: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'latency'; readonly ms: number }
  | { readonly do: 'cut'; readonly clientGets: number; readonly serverGets: number }
  | { readonly do: 'notice'; readonly side: Side }
  | { readonly do: 'connect' }
  | { readonly do: 'busy'; readonly side: Side; readonly busy: boolean };

const side = fc.constantFrom<Side>('client', 'server');
const few = fc.integer({ min: 0, max: 12 });
const bytes = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 12, max: 300 }) },
  { weight: 4, arbitrary: fc.integer({ min: 2000, max: 9000 }) },
  { weight: 1, arbitrary: fc.constant(controlLimits.maxMessageBytes) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('send'), side, bytes, count: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('advance'), ms: fc.integer({ min: 0, max: 120 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('advance'), ms: fc.integer({ min: 4000, max: 20_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('latency'), ms: fc.integer({ min: 0, max: 150 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('cut'), clientGets: few, serverGets: few }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('notice'), side }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('connect') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('busy'), side, busy: fc.boolean() }) },
);

class Life {
  readonly pair = new VirtualPair();
  readonly accepted: Record<Side, string[]> = { client: [], server: [] };
  #sent = 0;

  take(step: Step): void {
    const { pair } = this;
    switch (step.do) {
      case 'send':
        for (let i = 0; i < step.count; i++) {
          const text = `${String(this.#sent++)} `.padEnd(step.bytes, 'x');
          if (pair[step.side].endpoint.send(text, pair.now)) this.accepted[step.side].push(text);
        }
        pair.settle();
        break;
      case 'advance':
        pair.advance(step.ms);
        break;
      case 'latency':
        // A connection keeps its order, so its latency may only grow.
        pair.latencyMs = Math.max(pair.latencyMs, step.ms);
        break;
      case 'cut':
        pair.cut(step.clientGets, step.serverGets);
        break;
      case 'notice':
        pair.notice(pair[step.side]);
        break;
      case 'connect':
        pair.connect();
        break;
      case 'busy':
        pair[step.side].busy = step.busy;
        pair.settle();
    }
    this.#checkBounds();
  }

  finish(): void {
    const { pair } = this;
    pair.client.busy = false;
    pair.server.busy = false;
    pair.connect();
    pair.advance(25_000);
    assert.deepEqual(pair.client.errors.concat(pair.server.errors), []);
    assert.deepEqual(pair.server.texts, this.accepted.client);
    assert.deepEqual(pair.client.texts, this.accepted.server);
    for (const end of [pair.client, pair.server]) {
      assert.equal(end.endpoint.queuedBytes, 0);
      assert.equal(end.endpoint.heldBytes, 0);
    }
  }

  #checkBounds(): void {
    for (const end of [this.pair.client, this.pair.server]) {
      assert.ok(end.endpoint.queuedBytes <= controlLimits.maxUnackedBytes);
      // A sender resumes behind what was applied, so its window bounds what it makes its peer hold.
      assert.ok(end.endpoint.heldBytes < controlLimits.inFlightBytes + controlLimits.maxFragmentBytes);
    }
  }
}

const property = fc.property(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), (steps) => {
  const life = new Life();
  for (const one of steps) life.take(one);
  life.finish();
});

t.test('connections that break at random lose, double and reorder nothing', (t) => {
  for (let done = 0; done < runs; done += runsAtOnce) {
    fc.assert(property, { numRuns: Math.min(runsAtOnce, runs - done) });
    t.pass(`${String(Math.min(done + runsAtOnce, runs))} of ${String(runs)} sequences`);
  }
  t.end();
});

const u32 = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 0xffff_ffff }));
const hostileFrame: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 30 }),
  fc
    .tuple(fc.integer({ min: 0xf0, max: 0xff }), fc.uint8Array({ maxLength: 30 }))
    .map((x) => Uint8Array.from([x[0], ...x[1]])),
  fc
    .oneof<fc.Arbitrary<ControlFrame>[]>(
      fc.record({ type: fc.constant('open'), version: fc.nat(2), capabilities: fc.nat(9), lastReceived: u32 }),
      fc.record({
        type: fc.constant('welcome'),
        version: fc.nat(2),
        capabilities: fc.nat(9),
        lastReceived: u32,
        epoch: u32,
      }),
      fc.record({ type: fc.constant('ack'), sequence: u32 }),
      fc.record({ type: fc.constant('ping'), id: u32, time: u32 }),
      fc.record({ type: fc.constant('pong'), id: u32, echoedTime: u32, time: u32 }),
      fc.record({ type: fc.constant('drain'), retryAfterMs: u32, spreadMs: u32 }),
      fc.record({
        type: fc.constant('signal'),
        first: fc.boolean(),
        last: fc.boolean(),
        sequence: fc.integer({ min: 1, max: 8 }),
        payload: fc.uint8Array({ minLength: 1, maxLength: 9 }),
      }),
    )
    .map(encodeControlFrame),
);

t.test('a hostile peer makes no endpoint throw, or hold more than the limit', (t) => {
  fc.assert(
    fc.property(
      side,
      fc.array(hostileFrame, { maxLength: 60, size: 'max' }),
      fc.boolean(),
      fc.boolean(),
      (role, frames, opened, takes) => {
        const endpoint = new ControlEndpoint({ role, now: 0 });
        let now = 0;
        endpoint.connected(now);
        endpoint.send('something to acknowledge', now);
        while (endpoint.nextOutput(now) !== null);
        if (opened) {
          const hello = { version: 1, capabilities: 0, lastReceived: 0, epoch: 0 };
          endpoint.handle(encodeControlFrame({ type: role === 'client' ? 'welcome' : 'open', ...hello }), now);
        }
        for (const frame of frames) {
          now += 700;
          const error = endpoint.handle(frame, now);
          endpoint.handleTimeout(now);
          while (endpoint.nextOutput(now) !== null);
          if (takes) while (endpoint.nextEvent() !== null);
          if (error !== null) endpoint.connected(now);
          assert.ok(endpoint.heldBytes <= controlLimits.maxUnackedBytes);
        }
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
  t.end();
});
