import fc from 'fast-check';
import t from 'tap';
import {
  closeCodes,
  encodeFrame,
  forEachFrame,
  lane,
  transportMeta,
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
  readonly messages: Uint8Array[] = [];
  readonly closes: string[] = [];
  bufferedBytes = 0;
  takes = true;

  send(message: Uint8Array): boolean {
    if (this.takes) this.messages.push(message);
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
} {
  const socket = new RecordingSocket();
  const counters = new GatewayCounters();
  const received: number[] = [];
  const receive = (_: unknown, datagram: Uint8Array): void => {
    received.push(datagram[0] ?? -1);
  };
  return { socket, counters, received, path: new TunnelPath(socket, receive, counters.websocket, new FlushQueue()) };
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
  socket.bufferedBytes = tunnelLimits.socketHighWaterBytes;
  for (let i = 0; i < 200; i++) path.send(new Uint8Array(1000).fill((i & 31) | 128), meta(lane.video));
  for (let i = 0; i < 50; i++) path.send(new Uint8Array(100).fill(170), meta(lane.audio));
  for (let i = 0; i < 300; i++) path.send(new Uint8Array(1000).fill(0xf2), meta(lane.control));
  await turn();
  t.same(socket.messages, []);
  const kept = Math.floor((tunnelLimits.maxMediaBytes - 50 * 100) / 1000);
  t.equal(counters.websocket.dropped['queue-full'], 200 - kept);
  socket.bufferedBytes = 0;
  path.handleDrain();
  const { written } = socket;
  t.equal(written.filter((first) => first === 0xf2).length, 300);
  t.equal(written.filter((first) => first === 170).length, 50);
  t.equal(written.length, 350 + kept);
  t.equal(written.at(-1), (199 & 31) | 128, 'the newest is kept');
});

t.test('a reader that never reads', async (t) => {
  const { socket, path, counters } = setUp();
  socket.bufferedBytes = tunnelLimits.socketHighWaterBytes;
  const slow = `${String(closeCodes['slow-reader'].wire)} slow-reader`;
  let sent = 0;
  while (path.send(new Uint8Array(2000).fill(0xf2), meta(lane.control))) sent++;
  t.equal(sent, Math.floor(tunnelLimits.maxReliableBytes / 2000));
  t.same(socket.closes, [slow]);
  t.equal(path.send(Uint8Array.of(128), meta(lane.audio)), false);
  t.equal(counters.websocket.dropped.closed, 1);

  const stalled = setUp();
  stalled.socket.bufferedBytes = tunnelLimits.socketHighWaterBytes;
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
  const { socket, path, counters, received } = setUp();
  path.handleMessage(open, true);
  path.handleMessage(message(0, 20, 64, 128, 0xf1, 200, 79), true);
  t.same(received, [0xf0, 0, 20, 128, 0xf1]);
  t.equal(counters.websocket.dropped.class, 3);
  t.equal(counters.websocket.received, 5);
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
