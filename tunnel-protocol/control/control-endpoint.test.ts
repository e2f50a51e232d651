import t from 'tap';
import { closeCodes } from './close-codes.ts';
import { ControlEndpoint } from './control-endpoint.ts';
import type { ControlFrame } from './control-frames.ts';
import { decodeControlFrame, encodeControlFrame } from './control-frames.ts';
import { controlLimits } from './limits.ts';
import { VirtualPair } from './virtual-pair.ts';

const open = { type: 'open', version: 1, capabilities: 0, lastReceived: 0 } as const;
const welcome = { type: 'welcome', version: 1, capabilities: 0, lastReceived: 0, epoch: 1 } as const;

function outputs(endpoint: ControlEndpoint, now: number): ControlFrame[] {
  const frames: ControlFrame[] = [];
  for (let bytes = endpoint.nextOutput(now); bytes !== null; bytes = endpoint.nextOutput(now)) {
    frames.push(decodeControlFrame(bytes) as ControlFrame);
  }
  return frames;
}

function signal(sequence: number, text: string | Uint8Array, first = true, last = true): ControlFrame {
  return { type: 'signal', first, last, sequence, payload: typeof text === 'string' ? Buffer.from(text) : text };
}

function openServer(): ControlEndpoint {
  const server = new ControlEndpoint({ role: 'server', now: 0, epoch: 1 });
  server.connected(0);
  server.handle(encodeControlFrame(open), 0);
  server.nextEvent();
  outputs(server, 0);
  return server;
}

t.test('open, welcome, messages both ways, acknowledgements', (t) => {
  const pair = new VirtualPair({ server: { epoch: 7, capabilities: 6 }, client: { capabilities: 3 } });
  t.ok(pair.client.endpoint.send('hello', pair.now));
  t.equal(pair.client.endpoint.disconnectedAt, 1000);
  pair.connect();
  t.equal(pair.client.endpoint.disconnectedAt, null);
  pair.advance(20);
  t.strictSame(pair.server.texts, ['hello'], 'the first message needs no round trip');
  t.strictSame(pair.server.events, [{ type: 'open', version: 1, capabilities: 2 }]);
  t.ok(pair.server.endpoint.send('welcome to the room', pair.now));
  pair.settle();
  pair.advance(20);
  t.match(pair.client.events, [{ type: 'welcome', epoch: 7, version: 1, capabilities: 2 }]);
  t.equal(pair.client.endpoint.epoch, 7);
  t.strictSame(pair.client.texts, ['welcome to the room']);
  t.ok(pair.server.endpoint.queuedBytes > 0, 'acknowledged together with what else leaves soon');
  pair.advance(controlLimits.ackDelayMs + 20);
  t.equal(pair.client.endpoint.queuedBytes, 0);
  t.equal(pair.server.endpoint.queuedBytes, 0);
  t.equal(pair.server.endpoint.oldestUnackedAt, null);
  t.ok(pair.client.endpoint.open && pair.server.endpoint.open);
  t.end();
});

t.test('a large message is cut into fragments that fit a datagram', (t) => {
  const pair = new VirtualPair();
  pair.connect();
  pair.advance(100);
  const text = 'ä'.repeat(controlLimits.maxMessageBytes / 2);
  t.equal(pair.server.endpoint.send(text + '.', pair.now), false, 'one byte too many');
  t.equal(pair.server.endpoint.send('', pair.now), false);
  t.ok(pair.server.endpoint.send(text, pair.now));
  const frames: Uint8Array[] = [];
  for (let f = pair.server.endpoint.nextOutput(0); f !== null; f = pair.server.endpoint.nextOutput(0)) frames.push(f);
  t.equal(frames.length, Math.ceil(controlLimits.maxMessageBytes / controlLimits.maxFragmentBytes));
  t.ok(frames.every((frame) => frame.length <= controlLimits.maxFrameBytes));
  for (const frame of frames) t.equal(pair.client.endpoint.handle(frame, pair.now), null);
  pair.settle();
  t.strictSame(pair.client.texts, [text]);
  t.end();
});

t.test('taking a message acknowledges it; the acknowledgement covers all taken so far', (t) => {
  const server = openServer();
  for (let i = 1; i <= 3; i++) server.handle(encodeControlFrame(signal(i, `m${String(i)}`)), 0);
  t.strictSame(outputs(server, 0), [], 'nothing is acknowledged before it is taken');
  t.equal(server.heldBytes, 6);
  t.same(server.nextEvent(), { type: 'message', text: 'm1' });
  t.same(server.nextEvent(), { type: 'message', text: 'm2' });
  t.strictSame(outputs(server, 0), [], 'others may follow');
  t.equal(server.nextTimeout(), controlLimits.ackDelayMs);
  t.strictSame(outputs(server, controlLimits.ackDelayMs), [{ type: 'ack', sequence: 2 }]);
  t.equal(server.heldBytes, 2);
  server.connected(5);
  server.handle(encodeControlFrame(open), 5);
  t.match(outputs(server, 5), [{ type: 'welcome', lastReceived: 2 }], 'a new connection is told the same');
  t.same(server.nextEvent(), { type: 'message', text: 'm3' });
  server.handle(encodeControlFrame(signal(3, 'm3')), 5);
  t.same(server.nextEvent(), { type: 'open', version: 1, capabilities: 0 });
  t.equal(server.nextEvent(), null, 'what was received before is not received again');
  t.equal(server.counters.duplicateFragments, 1);
  t.end();
});

t.test('an acknowledgement rides with what leaves anyway, and does not wait where much is to be acknowledged', (t) => {
  const riding = openServer();
  riding.handle(encodeControlFrame(signal(1, 'a')), 0);
  riding.nextEvent();
  riding.send('b', 1);
  t.match(outputs(riding, 1), [{ type: 'signal' }, { type: 'ack', sequence: 1 }]);
  t.equal(riding.nextTimeout(), controlLimits.silentAfterMs, 'nothing more is due');

  const takes = (size: number, count: number): number => {
    const server = openServer();
    for (let i = 1; i <= count; i++) {
      server.handle(encodeControlFrame(signal(i, 'x'.repeat(size))), 0);
      server.nextEvent();
      if (outputs(server, 0).length > 0) return i;
    }
    return 0;
  };
  t.equal(takes(1, 100), controlLimits.ackAtFragments);
  t.equal(takes(2000, 100), Math.ceil(controlLimits.ackAtBytes / 2000));
  t.end();
});

t.test('what is not acknowledged is sent again on the next connection, and only that', (t) => {
  const pair = new VirtualPair();
  pair.connect();
  pair.advance(100);
  for (const text of ['a', 'b', 'c']) pair.client.endpoint.send(text, pair.now);
  pair.settle();
  pair.cut(0, 2);
  pair.advance(50);
  t.strictSame(pair.server.texts, ['a', 'b']);
  t.equal(pair.client.endpoint.queuedBytes, 3, 'the acknowledgement was lost');
  pair.notice(pair.client);
  t.equal(pair.client.endpoint.nextOutput(pair.now), null, 'no connection, no output');
  t.ok(pair.client.endpoint.send('d', pair.now));
  pair.connect();
  pair.advance(100);
  t.strictSame(pair.server.texts, ['a', 'b', 'c', 'd']);
  t.equal(pair.client.endpoint.counters.resentFragments, 1, 'welcome told that a and b are there');
  t.equal(pair.server.endpoint.counters.duplicateFragments, 0);
  t.end();
});

t.test('a message of which one half came before the loss is completed after it', (t) => {
  const pair = new VirtualPair();
  pair.connect();
  pair.advance(100);
  const text = 'x'.repeat(5000);
  pair.server.endpoint.send(text, pair.now);
  pair.settle();
  pair.cut(1, 0);
  pair.advance(50);
  pair.connect();
  pair.advance(100);
  t.strictSame(pair.client.texts, [text]);
  t.equal(pair.client.endpoint.counters.duplicateFragments, 1);
  t.end();
});

t.test('the send queue is bounded in bytes and in fragments', (t) => {
  const endpoint = new ControlEndpoint({ role: 'server', now: 0 });
  const text = 'x'.repeat(controlLimits.maxMessageBytes);
  let sent = 0;
  while (endpoint.send(text, 3)) sent += 1;
  t.equal(sent, controlLimits.maxUnackedBytes / controlLimits.maxMessageBytes);
  t.equal(endpoint.queuedBytes, controlLimits.maxUnackedBytes);
  t.equal(endpoint.oldestUnackedAt, 3);
  const short = new ControlEndpoint({ role: 'server', now: 0 });
  sent = 0;
  while (short.send('x', 0)) sent += 1;
  t.equal(sent, controlLimits.maxUnackedFragments);
  t.end();
});

t.test('an application that takes nothing holds the sender back at the window', (t) => {
  const pair = new VirtualPair();
  pair.connect();
  pair.advance(100);
  pair.client.busy = true;
  const text = 'x'.repeat(10_000);
  for (let i = 0; i < 50; i++) pair.server.endpoint.send(text, pair.now);
  pair.settle();
  pair.advance(1000);
  t.ok(pair.client.endpoint.heldBytes >= controlLimits.inFlightBytes);
  t.ok(pair.client.endpoint.heldBytes < controlLimits.inFlightBytes + controlLimits.maxFragmentBytes);
  pair.client.busy = false;
  pair.settle();
  pair.advance(5000);
  t.equal(pair.client.texts.length, 50);
  t.end();
});

t.test('round trips, at once and then every five seconds', (t) => {
  const pair = new VirtualPair();
  pair.connect();
  pair.advance(80);
  const roundTrips = () => pair.client.events.filter((event) => event.type === 'round-trip');
  t.match(roundTrips(), [{ ms: 40, trend: { outwardMs: 0, backMs: 0 } }]);
  pair.latencyMs = 75;
  pair.advance(10_200);
  t.match(
    roundTrips().map((event) => event.ms),
    [40, 150, 150],
  );
  t.notOk(
    pair.server.events.some((event) => event.type === 'round-trip'),
    'a server does not ping by default',
  );
  t.end();
});

t.test('pongs that answer nothing are ignored, and a flood of pings is answered once', (t) => {
  const client = new ControlEndpoint({ role: 'client', now: 0 });
  client.connected(0);
  outputs(client, 0);
  client.handle(encodeControlFrame(welcome), 10);
  client.nextEvent();
  t.match(outputs(client, 10), [{ type: 'ping', id: 1, time: 10 }]);
  for (const [id, echoedTime] of [
    [0, 10],
    [2, 10],
    [1, 0xffff_0000],
  ] as const) {
    t.equal(client.handle(encodeControlFrame({ type: 'pong', id, echoedTime, time: 0 }), 30), null);
    t.equal(client.nextEvent(), null);
  }
  client.handle(encodeControlFrame({ type: 'pong', id: 1, echoedTime: 10, time: 0 }), 30);
  t.match(client.nextEvent(), { type: 'round-trip', ms: 20 });
  for (let id = 1; id <= 1000; id++) client.handle(encodeControlFrame({ type: 'ping', id, time: id * 2 }), 40);
  t.strictSame(outputs(client, 41), [{ type: 'pong', id: 1000, echoedTime: 2000, time: 41 }]);
  t.end();
});

t.test('either end declares a connection silent after 15 s, once', (t) => {
  const pair = new VirtualPair();
  pair.connect();
  pair.advance(60_000);
  const silences = () => [pair.client, pair.server].map((end) => end.events.filter((e) => e.type === 'silent').length);
  t.strictSame(silences(), [0, 0], 'pings keep it alive');
  pair.cut(0, 0);
  pair.advance(9000);
  t.strictSame(silences(), [0, 0]);
  pair.advance(60_000);
  t.strictSame(silences(), [1, 1]);
  pair.notice(pair.client);
  pair.notice(pair.server);
  t.equal(pair.client.endpoint.nextTimeout(), null);
  t.equal(pair.server.endpoint.nextTimeout(), null);
  pair.connect();
  pair.advance(60_000);
  t.strictSame(silences(), [1, 1], 'the next connection starts afresh');
  t.end();
});

t.test('a silence that nobody took does not fall on the next connection', (t) => {
  const server = new ControlEndpoint({ role: 'server', now: 0 });
  server.connected(0);
  t.equal(server.nextTimeout(), 15_000);
  server.handleTimeout(15_000);
  server.connected(15_001);
  t.equal(server.nextEvent(), null);
  t.end();
});

t.test('drain and close reach the client', (t) => {
  const pair = new VirtualPair();
  pair.connect();
  pair.advance(100);
  pair.server.endpoint.drain(1000, 5000);
  pair.settle();
  pair.advance(100);
  t.match(pair.client.events.at(-1), { type: 'drain', retryAfterMs: 1000, spreadMs: 5000 });
  pair.server.endpoint.send('last words', pair.now);
  pair.server.endpoint.close('kicked', 'x'.repeat(500), pair.now);
  pair.server.endpoint.close('normal', 'too late', pair.now);
  pair.settle();
  pair.advance(100);
  t.strictSame(pair.client.texts, ['last words'], 'messages sent before the close arrive');
  t.strictSame(pair.client.events.at(-1), {
    type: 'close',
    code: 'kicked',
    wire: closeCodes.kicked.wire,
    then: 'stop',
    reason: 'x'.repeat(123),
  });
  t.equal(pair.client.endpoint.open, false);
  t.equal(pair.server.endpoint.open, false);
  t.equal(
    pair.server.endpoint.handle(encodeControlFrame(signal(9, 'late')), pair.now),
    null,
    'late frames are ignored',
  );
  t.equal(pair.server.endpoint.nextTimeout(), null);
  t.throws(() => {
    pair.client.endpoint.drain(1, 1);
  }, /server/);
  t.end();
});

t.test('close does not wait forever for a full window', (t) => {
  const server = openServer();
  while (server.send('x'.repeat(60_000), 0));
  server.close('slow-reader', 'You are slow', 100);
  t.ok(outputs(server, 100).every((frame) => frame.type === 'signal'));
  t.equal(server.nextTimeout(), 1100);
  server.handleTimeout(1100);
  t.match(outputs(server, 1100), [{ type: 'close', wire: closeCodes['slow-reader'].wire, reason: 'You are slow' }]);
  t.end();
});

t.test('close without grace goes out before queued messages', (t) => {
  const server = openServer();
  server.send('not on this connection', 0);
  server.close('replaced', '', 100, 0);
  t.strictSame(outputs(server, 100), [{ type: 'close', wire: closeCodes.replaced.wire, reason: '' }]);
  t.equal(server.queuedBytes, 22);
  t.end();
});

t.test('close before the handshake goes out alone', (t) => {
  const client = new ControlEndpoint({ role: 'client', now: 0 });
  client.close('normal', 'no connection yet', 0);
  client.send('never mind', 0);
  client.connected(0);
  client.close('normal', '', 0);
  t.strictSame(outputs(client, 0), [{ type: 'close', wire: 4000, reason: '' }]);
  t.end();
});

t.test('an unassigned close number still tells what to do', (t) => {
  const client = new ControlEndpoint({ role: 'client', now: 0 });
  client.connected(0);
  t.equal(client.handle(encodeControlFrame({ type: 'close', wire: 4177, reason: 'new in 2.0' }), 0), null);
  t.strictSame(client.nextEvent(), { type: 'close', code: null, wire: 4177, then: 'resume', reason: 'new in 2.0' });
  t.end();
});

t.test('reports: the latest goes, at once or never; before the handshake they are ignored', (t) => {
  const report = { nomination: 3, time: 1, sent: 2, sentBytes: 3, received: 4, receivedBytes: 5 };
  const frame = (sent: number): Uint8Array => encodeControlFrame({ type: 'report', flags: 1, ...report, sent });
  const client = new ControlEndpoint({ role: 'client', now: 0 });
  const server = new ControlEndpoint({ role: 'server', now: 0 });
  client.report(report, true);
  client.connected(0);
  client.report(report, true);
  server.connected(0);
  t.equal(server.handle(frame(9), 0), null);
  t.equal(server.counters.ignoredFrames, 1);
  const exchange = (): void => {
    for (let out = client.nextOutput(0); out !== null; out = client.nextOutput(0)) t.equal(server.handle(out, 0), null);
    for (let out = server.nextOutput(0); out !== null; out = server.nextOutput(0)) t.equal(client.handle(out, 0), null);
  };
  const reports = (endpoint: ControlEndpoint): unknown[] => {
    const found: unknown[] = [];
    for (let event = endpoint.nextEvent(); event !== null; event = endpoint.nextEvent()) {
      if (event.type === 'report') found.push([event.report.sent, event.wantsAnswer]);
    }
    return found;
  };
  exchange();
  exchange();
  t.same([reports(client), reports(server)], [[], []], 'what was to be sent without a connection is lost');
  client.report(report, true);
  client.report({ ...report, sent: 7 }, true);
  server.report({ ...report, sent: 8 }, false);
  exchange();
  t.same([reports(client), reports(server)], [[[8, false]], [[7, true]]]);
  client.report(report, true);
  client.disconnected(1);
  client.connected(1);
  server.connected(1);
  exchange();
  exchange();
  t.same(reports(server), []);
  t.end();
});

t.test('unknown ignorable frames are counted, at any time', (t) => {
  const server = new ControlEndpoint({ role: 'server', now: 0 });
  server.connected(0);
  t.equal(server.handle(Uint8Array.of(0xfb, 1, 2), 0), null);
  server.handle(encodeControlFrame(open), 0);
  t.equal(server.handle(Uint8Array.of(0xff), 0), null);
  t.equal(server.counters.ignoredFrames, 2);
  t.ok(server.open);
  t.end();
});

t.test('a higher revision is answered with ours', (t) => {
  const server = new ControlEndpoint({ role: 'server', now: 0 });
  server.connected(0);
  t.equal(server.handle(encodeControlFrame({ ...open, version: 9 }), 0), null);
  t.match(outputs(server, 0), [{ type: 'welcome', version: 1 }]);
  t.end();
});

t.test('the epoch of a server can be set between connections', (t) => {
  const pair = new VirtualPair({ server: { epoch: 1 } });
  pair.connect();
  pair.advance(100);
  pair.server.endpoint.epoch = 0xffff_fffe;
  pair.connect();
  pair.advance(100);
  t.equal(pair.client.endpoint.epoch, 0xffff_fffe);
  t.end();
});
