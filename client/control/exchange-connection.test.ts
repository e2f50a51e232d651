import t from 'tap';
import { decodeControlFrame, encodeControlFrame, lane } from '../../tunnel-protocol/index.ts';
import type { ExchangeCarrier, SendMeta } from '../../tunnel-protocol/index.ts';
import { ClientError } from '../errors.ts';
import { ExchangeEdge } from '../testing/exchange-edge.ts';
import type { ExchangeEdgeOptions } from '../testing/exchange-edge.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { ExchangeConnection } from './exchange-connection.ts';
import type { TunnelClose } from './tunnel-socket.ts';

const audio: SendMeta = { lane: lane.audio, frameId: 0, keyFrame: false, discardable: true, deadlineMs: 0 };

interface Run {
  readonly clock: VirtualClock;
  readonly edge: ExchangeEdge;
  readonly connection: ExchangeConnection;
  /** Types of control frames, first bytes of datagrams, and what else happened. */
  readonly seen: string[];
  readonly closes: TunnelClose[];
  /** Lets time pass in small steps, and all that is to happen in each happen. */
  readonly pass: (ms: number) => Promise<void>;
}

function open(carrier: ExchangeCarrier, options: ExchangeEdgeOptions = {}): Run {
  const clock = new VirtualClock();
  const edge = new ExchangeEdge(clock, options);
  const seen: string[] = [];
  const closes: TunnelClose[] = [];
  const connection = new ExchangeConnection(
    {
      carrier,
      url: `https://edge.example/${carrier === 'long-poll' ? 'poll' : 'stream'}`,
      resumeToken: 'token',
      fetch: edge.fetch,
      generation: 1,
      clock,
      explain: (error) =>
        error instanceof ClientError
          ? error
          : new ClientError('edge-unreachable', { cause: error, detail: 'explained' }),
    },
    {
      opened: () => seen.push('opened'),
      frame: (bytes) => {
        const frame = (bytes[0] as number) < 0xf0 ? null : decodeControlFrame(bytes);
        seen.push(frame === null ? `datagram ${String(bytes[1])}` : typeof frame === 'string' ? frame : frame.type);
      },
      messageEnd: () => undefined,
      dropped: () => seen.push('dropped'),
      closed: (close) => closes.push(close),
    },
  );
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed <= ms; passed += 5) {
      await new Promise(setImmediate);
      edge.pump();
      await new Promise(setImmediate);
      if (passed < ms) clock.advance(5);
    }
  };
  return { clock, edge, connection, seen, closes, pass };
}

function hello(): Uint8Array {
  return encodeControlFrame({ type: 'open', version: 1, capabilities: 1, lastReceived: 0 });
}

const ping = (): Uint8Array => encodeControlFrame({ type: 'ping', id: 1, time: 0 });

for (const carrier of ['http-stream', 'long-poll'] as const) {
  t.test(`${carrier}: frames go both ways, and the end leaves nothing`, async (t) => {
    const { clock, edge, connection, seen, closes, pass } = open(carrier);
    t.notOk(connection.open);
    t.notOk(connection.sendDatagram(Uint8Array.of(0x80, 1), audio), 'not before it is open');
    await pass(0);
    t.ok(connection.open);
    const frame = hello();
    connection.sendControl(frame);
    t.equal(frame[3], 0, 'neither end credits here');
    await pass(50);
    connection.sendControl(ping());
    t.ok(connection.sendDatagram(Uint8Array.of(0x80, 7), audio));
    await pass(100);
    t.same(seen, ['opened', 'welcome', 'pong']);
    t.same(edge.datagrams, [Uint8Array.of(0x80, 7)]);
    edge.send(Uint8Array.of(0x80, 9));
    await pass(100);
    t.equal(seen.at(-1), 'datagram 9');
    t.equal(connection.deliveryRate, null);
    t.equal(connection.suspicion, null);
    connection.sendControl(encodeControlFrame({ type: 'close', wire: 4000, reason: '' }));
    connection.close(1000);
    connection.close(1000);
    await pass(50);
    t.equal(edge.ended, 4000);
    t.notOk(edge.endpoint.open, 'what was queued went before');
    t.ok(edge.aborted > 0);
    t.equal(clock.pendingTimers, 0);
    t.same(closes, []);
  });

  t.test(`${carrier}: the server ends it`, async (t) => {
    const { clock, edge, connection, closes, pass } = open(carrier);
    await pass(0);
    connection.sendControl(hello());
    await pass(50);
    edge.close(4002);
    await pass(1500);
    t.match(closes, [{ wire: 4002 }]);
    t.notOk(connection.open);
    t.equal(clock.pendingTimers, 0);
  });
}

t.test('the edge says that the session is not known', async (t) => {
  const body = JSON.stringify({ code: 'session-unknown', detail: 'It has ended.' });
  const { connection, closes, pass } = open('long-poll', { intercept: () => new Response(body, { status: 404 }) });
  await pass(0);
  connection.sendControl(hello());
  await pass(20);
  t.match(closes, [{ wire: 1006, final: true, error: { code: 'session-lost' } }]);
  t.equal(closes.length, 1);
});

t.test('nobody is there: that is known at once, and why', async (t) => {
  const { clock, connection, closes, pass } = open('http-stream', { intercept: () => new Error('ECONNREFUSED') });
  await pass(0);
  connection.sendControl(hello());
  await pass(20);
  t.match(closes, [{ wire: 1006, error: { code: 'edge-unreachable', message: /explained/ } }]);
  t.notOk(closes[0]?.final);
  t.equal(clock.pendingTimers, 0);
});

t.test('a connection that was heard outlives failures', async (t) => {
  let down = false;
  const { connection, seen, closes, pass } = open('long-poll', { intercept: () => (down ? new Error('cut') : null) });
  await pass(0);
  connection.sendControl(hello());
  await pass(50);
  down = true;
  connection.sendControl(ping());
  await pass(1000);
  t.notOk(seen.includes('pong'));
  down = false;
  await pass(3000);
  t.same([seen.at(-1), closes], ['pong', []]);
});

t.test('text passes where binary is refused', async (t) => {
  const only = (init: { readonly headers: Record<string, string> }): Response | null =>
    init.headers['accept'] === 'text/plain' ? null : new Response('no', { status: 403 });
  const { edge, connection, seen, closes, pass } = open('long-poll', { intercept: only });
  await pass(0);
  connection.sendControl(hello());
  await pass(500);
  t.ok(seen.includes('welcome'));
  connection.sendControl(ping());
  connection.sendDatagram(Uint8Array.of(0x80, 7), audio);
  await pass(100);
  t.equal(seen.at(-1), 'pong');
  t.same(edge.datagrams, [Uint8Array.of(0x80, 7)]);
  t.ok(edge.requests.includes('POST text'));
  t.same(closes, []);

  const stream = open('http-stream', { intercept: only });
  await stream.pass(0);
  stream.connection.sendControl(hello());
  await stream.pass(20);
  t.match(stream.closes, [{ wire: 1006, error: { message: /HTTP 403/ } }], 'streams have no such form');
});

t.test('a stream that is held back is given up with the reason', async (t) => {
  const { edge, connection, seen, closes, pass } = open('http-stream', { buffers: true });
  await pass(0);
  connection.sendControl(hello());
  await pass(100);
  t.equal(connection.suspicion, null);
  await pass(300);
  t.equal(connection.suspicion, 'buffered');
  await pass(1500);
  t.match(closes, [{ wire: 1006, error: { code: 'buffered' } }]);
  t.same(seen, ['opened']);
  t.equal(edge.ended, 4000, 'the edge is told');
});

t.test('an answer without a body is none', async (t) => {
  const { connection, closes, pass } = open('http-stream', { intercept: () => new Response(null, { status: 200 }) });
  await pass(0);
  connection.sendControl(hello());
  await pass(20);
  t.match(closes, [{ error: { code: 'edge-not-sallyport' } }]);
});

t.test('what cannot leave grows old here, and that is told', async (t) => {
  let held = false;
  const { connection, seen, pass } = open('long-poll', {
    intercept: ({ method }) => (held && method === 'POST' ? new Promise<never>(() => undefined) : null),
  });
  await pass(0);
  connection.sendControl(hello());
  await pass(100);
  held = true;
  seen.length = 0;
  for (let i = 0; i < 10; i++) {
    connection.sendDatagram(Uint8Array.of(0x80, i), audio);
    await pass(50);
  }
  t.same(
    seen,
    Array.from({ length: 4 }, () => 'dropped'),
    'one left, and five are not too old',
  );
  t.notOk(connection.sendDatagram(new Uint8Array(2049), audio), 'longer than a frame');
});
