import fc from 'fast-check';
import t from 'tap';
import {
  capability,
  closeCodes,
  creditFrameBytes,
  creditType,
  encodeControlFrame,
  encodeFrame,
  flowLimits,
  forEachFrame,
  lane,
  transportMeta,
  TunnelFlow,
  type ControlFrame,
  type Lane,
  type SendMeta,
} from '../tunnel-protocol/index.ts';
import { GatewayCounters } from './counters.ts';
import type { EngineSocket } from './engine/index.ts';
import { FlushQueue } from './flush-queue.ts';
import { tunnelLimits, TunnelPath } from './tunnel-path.ts';

/** Records what is written; `bufferedBytes` is the test's to set. */
class RecordingSocket implements EngineSocket {
  readonly remoteAddress = '192.0.2.1';
  readonly remotePort = 5000;
  readonly copies = true;
  readonly messages: Uint8Array[] = [];
  readonly closes: string[] = [];
  bufferedBytes = 0;
  takes = true;

  send(message: Uint8Array): boolean {
    if (this.takes) this.messages.push(message.slice());
    return this.takes;
  }

  cork(run: () => void): void {
    run();
  }

  close(code: number, reason: string): void {
    this.closes.push(`${String(code)} ${reason}`);
  }

  /** First bytes of all datagrams written so far. */
  get written(): number[] {
    const firsts: number[] = [];
    for (const message of this.messages) forEachFrame(message, (frame) => firsts.push(frame[0] ?? -1));
    return firsts;
  }
}

function meta(of: Lane): SendMeta {
  return { ...transportMeta, lane: of };
}

function setUp(): {
  readonly socket: RecordingSocket;
  readonly path: TunnelPath;
  readonly counters: GatewayCounters;
  readonly received: number[];
  readonly turnFlows: number[];
} {
  const socket = new RecordingSocket();
  const counters = new GatewayCounters();
  const received: number[] = [];
  const turnFlows: number[] = [];
  const receive = (_: unknown, datagram: Uint8Array): void => {
    received.push(datagram[0] ?? -1);
  };
  const turnFlow = (_: unknown, frame: Uint8Array): void => {
    turnFlows.push(frame[0] ?? -1);
  };
  const path = new TunnelPath(socket, receive, counters.websocket, new FlushQueue(), { now: () => 0, turnFlow });
  return { socket, counters, received, turnFlows, path };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const open = encodeFrame(Uint8Array.of(0xf0, 1, 2));
const message = (...firsts: number[]): Uint8Array =>
  Buffer.concat(firsts.map((first) => encodeFrame(Uint8Array.of(first, 0, 0))));

t.test('one write per turn, control first, then transport, audio, video', async (t) => {
  const { socket, path, counters } = setUp();
  for (const [first, of] of [
    [130, lane.video],
    [129, lane.audio],
    [20, lane.transport],
    [0xf2, lane.control],
    [131, lane.video],
  ] as const) {
    t.equal(path.send(Uint8Array.of(first), meta(of)), true);
  }
  t.same(socket.messages, []);
  await turn();
  t.equal(socket.messages.length, 1);
  t.same(socket.written, [0xf2, 20, 129, 130, 131]);
  t.equal(counters.websocket.sent, 5);
  await turn();
  t.equal(socket.messages.length, 1, 'nothing more to write');
});

t.test('audio goes on a connection of its own while that is prompt', async (t) => {
  let now = 0;
  const options = { now: () => now, flow: { creditLeastBytes: flowLimits.audioCreditLeastBytes } };
  const flushes = new FlushQueue();
  const traffic = new GatewayCounters().websocket;
  const ignore = (): void => undefined;
  const [mainSocket, audioSocket] = [new RecordingSocket(), new RecordingSocket()];
  const main = new TunnelPath(mainSocket, ignore, traffic, flushes, options);
  const audio = new TunnelPath(audioSocket, ignore, traffic, flushes, options);
  const dropped: Lane[] = [];
  main.onDrop = ({ lane: of }) => dropped.push(of);
  audio.beginAsAudio(main);
  main.carryAudio(audio);
  const datagram = (first: number): Uint8Array => new Uint8Array(100).fill(first);
  const sendBoth = async (first: number): Promise<void> => {
    main.send(datagram(first), { ...meta(lane.audio), discardable: true, deadlineMs: 200 });
    main.send(datagram(first + 1), meta(lane.video));
    await turn();
  };
  await sendBoth(130);
  t.same([audioSocket.written, mainSocket.written], [[130], [131]]);
  now = tunnelLimits.audioStuckMs;
  await sendBoth(132);
  await sendBoth(134);
  t.same(audioSocket.written, [130, 132], 'nothing was credited for so long');
  t.same(
    mainSocket.written.filter((first) => first !== creditType),
    [131, 133, 134, 135],
  );

  const client = new TunnelFlow({ now: 0, messageBytes: 100, onDrop: ignore, limits: options.flow });
  client.agree();
  client.received(204, now);
  audio.handleMessage(client.nextMessage(now + flowLimits.creditDelayMs) ?? new Uint8Array(0), true);
  await sendBoth(136);
  t.same(audioSocket.written, [130, 132, 136], 'it was only slow');

  audioSocket.bufferedBytes = tunnelLimits.socketHighWaterBytes;
  await sendBoth(138);
  now += 300;
  audio.send(datagram(140), { ...meta(lane.audio), discardable: true, deadlineMs: 200 });
  await turn();
  t.same(dropped, [lane.audio], 'drops are told of the path that the sender knows');
  audio.checkStalled(now + tunnelLimits.audioGiveUpMs);
  t.match(audioSocket.closes, [/slow-reader/]);
  await sendBoth(142);
  t.same(mainSocket.written.slice(-2), [142, 143]);
  t.same(mainSocket.closes, []);
});

t.test('messages end at whole frames, at 16 KiB', async (t) => {
  const { socket, path } = setUp();
  for (let i = 0; i < 40; i++) path.send(new Uint8Array(1200).fill(128), meta(lane.audio));
  await turn();
  t.equal(socket.written.length, 40);
  for (const part of socket.messages) t.ok(part.length <= tunnelLimits.messageBytes);
  t.equal(socket.messages.length, 4);
});

t.test('while the socket is full, media is dropped from the head and control never', async (t) => {
  const { socket, path, counters } = setUp();
  socket.bufferedBytes = tunnelLimits.uncreditedHighWaterBytes;
  for (let i = 0; i < 600; i++) path.send(new Uint8Array(1000).fill((i & 31) | 128), meta(lane.video));
  for (let i = 0; i < 50; i++) path.send(new Uint8Array(100).fill(170), meta(lane.audio));
  for (let i = 0; i < 300; i++) path.send(new Uint8Array(1000).fill(0xf2), meta(lane.control));
  await turn();
  t.same(socket.messages, []);
  const kept = Math.floor((flowLimits.maxMediaBytes - 50 * 100) / 1000);
  t.equal(counters.websocket.dropped['queue-full'], 600 - kept);
  socket.bufferedBytes = 0;
  path.handleDrain();
  const { written } = socket;
  t.equal(written.filter((first) => first === 0xf2).length, 300);
  t.equal(written.filter((first) => first === 170).length, 50);
  t.equal(written.length, 350 + kept);
  t.equal(written.at(-1), (599 & 31) | 128, 'the newest is kept');
});

t.test('a reader that never reads', async (t) => {
  const { socket, path, counters } = setUp();
  socket.bufferedBytes = tunnelLimits.uncreditedHighWaterBytes;
  const slow = `${String(closeCodes['slow-reader'].wire)} slow-reader`;
  let sent = 0;
  while (path.send(new Uint8Array(2000).fill(0xf2), meta(lane.control))) sent++;
  t.equal(sent, Math.floor(flowLimits.maxReliableBytes / 2000));
  t.same(socket.closes, [slow]);
  t.equal(path.send(Uint8Array.of(128), meta(lane.audio)), false);
  t.equal(counters.websocket.dropped.closed, 1);

  const stalled = setUp();
  stalled.socket.bufferedBytes = tunnelLimits.uncreditedHighWaterBytes;
  stalled.path.checkStalled(1000);
  stalled.path.checkStalled(1000 + tunnelLimits.stalledMs - 1);
  t.same(stalled.socket.closes, []);
  stalled.path.handleDrain();
  stalled.path.checkStalled(1000 + tunnelLimits.stalledMs);
  t.same(stalled.socket.closes, [], 'it moved in between');
  stalled.path.checkStalled(1000 + 2 * tunnelLimits.stalledMs);
  t.same(stalled.socket.closes, [slow]);

  const refusing = setUp();
  refusing.socket.takes = false;
  refusing.path.send(Uint8Array.of(0xf2), meta(lane.control));
  await turn();
  t.same(refusing.socket.closes, [slow]);
});

t.test('what cannot be framed is not sent', async (t) => {
  const { socket, path, counters } = setUp();
  t.equal(path.send(new Uint8Array(0), transportMeta), false);
  t.equal(path.send(new Uint8Array(2049), transportMeta), false);
  t.equal(counters.websocket.dropped.oversized, 2);
  await turn();
  t.same(socket.messages, []);
});

t.test('close sends what waits, once', (t) => {
  const { socket, path } = setUp();
  path.send(Uint8Array.of(0xff, 1), meta(lane.control));
  path.close(4002, 'kicked');
  path.close(4000, 'again');
  t.same(socket.written, [0xff]);
  t.same(socket.closes, ['4002 kicked']);
  path.handleMessage(open, true);
  t.end();
});

t.test('frames go to the receiver by class', (t) => {
  const { socket, path, counters, received, turnFlows } = setUp();
  path.handleMessage(open, true);
  path.handleMessage(message(0, 20, 64, 128, 0xf1, 200, 79), true);
  t.same(received, [0xf0, 0, 20, 128, 0xf1]);
  t.same(turnFlows, [64], 'of those that RFC 7983 keeps for TURN, one');
  t.equal(counters.websocket.dropped.class, 2);
  t.equal(counters.websocket.received, 6);
  t.same(socket.closes, []);
  t.end();
});

t.test('protocol errors close', (t) => {
  const wrong = `${String(closeCodes['protocol-error'].wire)} protocol-error`;
  const cases: Record<string, (path: TunnelPath) => void> = {
    text: (path) => {
      path.handleMessage(open, false);
    },
    'a datagram before open': (path) => {
      path.handleMessage(message(128), true);
    },
    'an empty message': (path) => {
      path.handleMessage(new Uint8Array(0), true);
    },
    'a cut frame': (path) => {
      path.handleMessage(open.subarray(0, 3), true);
    },
    'an empty frame': (path) => {
      path.handleMessage(Uint8Array.of(0, 0), true);
    },
    'an oversized frame': (path) => {
      path.handleMessage(new Uint8Array(4000).fill(0xf0), true);
    },
  };
  for (const [name, run] of Object.entries(cases)) {
    const { socket, path, received } = setUp();
    run(path);
    t.same(socket.closes, [wrong], name);
    path.handleMessage(open, true);
    t.same(received, [], `${name}: nothing is received after the close`);
  }
  t.end();
});

const credits = { version: 1, capabilities: capability.credit, lastReceived: 0 };

/** A path whose client credits, and a clock that the test moves. */
function setUpCredits(): {
  readonly socket: RecordingSocket;
  readonly path: TunnelPath;
  readonly counters: GatewayCounters;
  readonly client: TunnelFlow;
  readonly clock: { now: number };
  /** The client takes what was written, and answers. */
  readonly exchange: () => void;
} {
  const socket = new RecordingSocket();
  const counters = new GatewayCounters();
  const clock = { now: 1000 };
  const now = (): number => clock.now;
  const path = new TunnelPath(socket, () => undefined, counters.websocket, new FlushQueue(), { now });
  const client = new TunnelFlow({ now: 0, onDrop: () => undefined, messageBytes: 16_384 });
  client.agree();
  const hello = encodeControlFrame({ type: 'open', ...credits });
  client.push(hello, meta(lane.control), clock.now);
  const exchange = (): void => {
    for (const message of socket.messages.splice(0)) {
      let bytes = message.length;
      forEachFrame(message, (frame) => {
        if (frame[0] !== creditType) return;
        bytes -= 2 + creditFrameBytes;
        if (!client.credit(frame, clock.now)) throw new Error('the path credits what was never sent');
      });
      client.received(bytes, clock.now);
    }
    for (let answer = client.nextMessage(clock.now); answer !== null; answer = client.nextMessage(clock.now)) {
      path.handleMessage(answer, true);
    }
  };
  path.handleMessage(client.nextMessage(clock.now) ?? open, true);
  const welcome: ControlFrame = { type: 'welcome', ...credits, capabilities: 0, epoch: 1 };
  path.send(encodeControlFrame(welcome), meta(lane.control));
  return { socket, path, counters, client, clock, exchange };
}

t.test('with credits, no more is in flight than the window, and the rest waits', async (t) => {
  const { socket, path, client, clock, exchange, counters } = setUpCredits();
  await turn();
  const [welcome = new Uint8Array(0)] = socket.messages;
  t.same([...welcome.subarray(2, 6)], [0xf1, 1, 0, capability.credit], 'answered for the connection');
  exchange();
  for (let i = 0; i < 100; i++) path.send(new Uint8Array(1000).fill(128), { ...meta(lane.video), deadlineMs: 300 });
  await turn();
  const first = socket.messages.reduce((sum, { length }) => sum + length, 0);
  t.ok(first <= flowLimits.minWindowBytes + 1002 + 2 + creditFrameBytes, `${String(first)} bytes`);
  t.equal(socket.messages[0]?.[2], creditType, 'which ask for a credit');
  const messages = socket.messages.length;
  path.send(new Uint8Array(1000).fill(128), { ...meta(lane.video), deadlineMs: 300 });
  await turn();
  t.equal(socket.messages.length, messages, 'nothing more leaves');
  path.send(new Uint8Array(100).fill(129), meta(lane.audio));
  await turn();
  t.equal(socket.written.at(-1), 129, 'but audio, of which there is a little room more');
  clock.now += 50;
  exchange();
  await turn();
  t.ok(path.deliveryRate !== null && path.deliveryRate > 0);
  const reported: SendMeta[] = [];
  path.onDrop = (meta) => reported.push(meta);
  clock.now += 400;
  path.flush();
  t.ok(counters.websocket.dropped.stale > 0);
  t.equal(reported.length, counters.websocket.dropped.stale + counters.websocket.dropped.dependent);
  exchange();
  await turn();
  t.equal(client.inFlightBytes, 0, 'the client is credited, too');
  t.same(socket.closes, []);
});

t.test('a peer that credits nothing is closed, and so is one that credits what was never sent', async (t) => {
  const { socket, path, clock } = setUpCredits();
  for (let i = 0; i < 40; i++) path.send(new Uint8Array(1000).fill(128), { ...meta(lane.video), deadlineMs: 300 });
  await turn();
  clock.now += tunnelLimits.stalledMs - 1;
  path.checkStalled(clock.now);
  t.same(socket.closes, []);
  path.checkStalled(clock.now + 1);
  t.same(socket.closes, [`${String(closeCodes['slow-reader'].wire)} slow-reader`]);

  const lying = setUpCredits();
  await turn();
  const credit: ControlFrame = { type: 'credit', flags: 0, held: 0, received: 10_000, time: 0 };
  lying.path.handleMessage(encodeFrame(encodeControlFrame(credit)), true);
  t.same(lying.socket.closes, [`${String(closeCodes['protocol-error'].wire)} protocol-error`]);
});

t.test('a credit leaves by itself when nothing else does', async (t) => {
  const { socket, path, client, clock, exchange } = setUpCredits();
  await turn();
  exchange();
  client.push(new Uint8Array(900).fill(128), meta(lane.audio), clock.now);
  exchange();
  await turn();
  t.same(socket.written, []);
  clock.now += flowLimits.creditDelayMs;
  while (socket.messages.length === 0) await turn();
  t.same(socket.written, [creditType]);
  exchange();
  t.equal(client.inFlightBytes, 0);
  path.close(4000, '');
});

t.test('random messages never throw', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }), fc.boolean(), (messages, opened) => {
      const { path } = setUp();
      if (opened) path.handleMessage(open, true);
      for (const bytes of messages) path.handleMessage(bytes, true);
    }),
  );
  t.end();
});
