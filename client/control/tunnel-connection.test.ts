import t from 'tap';
import {
  creditFrameBytes,
  creditType,
  encodeFrame,
  flowLimits,
  forEachFrame,
  lane,
  transportMeta,
  TunnelFlow,
} from '../../tunnel-protocol/index.ts';
import type { SendMeta } from '../../tunnel-protocol/index.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { connectionLimits, TunnelConnection } from './tunnel-connection.ts';
import type { TunnelClose, TunnelSocket } from './tunnel-socket.ts';

class ScriptedSocket implements TunnelSocket {
  onopen: (() => void) | null = null;
  onmessage: ((message: Uint8Array) => void) | null = null;
  onclose: ((close: TunnelClose) => void) | null = null;
  bufferedAmount = 0;
  readonly sent: Uint8Array[] = [];
  readonly closes: number[] = [];

  send(message: Uint8Array): void {
    this.sent.push(message);
  }

  close(code: number): void {
    this.closes.push(code);
  }
}

function connect(): {
  socket: ScriptedSocket;
  clock: VirtualClock;
  connection: TunnelConnection;
  seen: string[];
} {
  const socket = new ScriptedSocket();
  const clock = new VirtualClock();
  const seen: string[] = [];
  const connection = new TunnelConnection(socket, clock, {
    opened: () => seen.push('opened'),
    frame: (frame) => {
      seen.push(`frame ${String(frame[0])}`);
      if (frame[0] === 99) connection.close(4000, '');
    },
    messageEnd: () => seen.push('end'),
    dropped: (meta) => seen.push(`dropped ${String(meta.lane)}`),
    closed: ({ wire, error }) => seen.push(`closed ${String(wire)} ${error?.code ?? ''}`),
  });
  return { socket, clock, connection, seen };
}

const audioMeta: SendMeta = { ...transportMeta, lane: lane.audio, discardable: true };
const videoMeta: SendMeta = { ...transportMeta, lane: lane.video };

/** First bytes of the frames sent so far, which are taken. */
function firsts(socket: ScriptedSocket): number[] {
  const found: number[] = [];
  for (const message of socket.sent.splice(0)) forEachFrame(message, (frame) => found.push(frame[0] ?? -1));
  return found;
}

/** The server takes what was sent and credits it. */
function answer(server: TunnelFlow, socket: ScriptedSocket, now: number): void {
  for (const message of socket.sent.splice(0)) {
    let bytes = message.length;
    forEachFrame(message, (frame) => {
      if (frame[0] !== creditType) return;
      bytes -= 2 + creditFrameBytes;
      if (!server.credit(frame, now)) throw new Error('credit for what was never sent');
    });
    server.received(bytes, now);
  }
  for (let message = server.nextMessage(now); message !== null; message = server.nextMessage(now)) {
    socket.onmessage?.(message);
  }
}

t.test('what is sent in one task is one message, larger batches are several', async (t) => {
  const { socket, connection, seen } = connect();
  t.notOk(connection.sendDatagram(Uint8Array.of(0x80), audioMeta), 'not before it is open');
  connection.sendControl(Uint8Array.of(0xf3));
  socket.onopen?.();
  t.same(seen, ['opened']);
  for (let i = 0; i < 3; i++) connection.sendDatagram(Uint8Array.of(0x80, i), audioMeta);
  t.same(socket.sent, []);
  await Promise.resolve();
  t.same(
    socket.sent.map(({ length }) => length),
    [12],
  );
  for (let i = 0; i < 40; i++) t.ok(connection.sendDatagram(new Uint8Array(2000).fill(0x80), audioMeta));
  await Promise.resolve();
  t.same(
    socket.sent.map(({ length }) => length),
    [12, 8 * 2002, 8 * 2002, 8 * 2002, 8 * 2002, 8 * 2002],
  );
});

t.test(
  'while the socket is full, nothing is given to it, and old media is dropped; control frames never',
  async (t) => {
    const { socket, clock, connection, seen } = connect();
    socket.onopen?.();
    socket.bufferedAmount = connectionLimits.socketHighWaterBytes;
    connection.sendDatagram(Uint8Array.of(0x80, 96), videoMeta);
    connection.sendDatagram(Uint8Array.of(0x80, 111), audioMeta);
    connection.sendDatagram(Uint8Array.of(0, 1), transportMeta);
    connection.sendControl(Uint8Array.of(0xf3));
    await Promise.resolve();
    t.same(socket.sent, []);
    clock.advance(250);
    t.same(socket.sent, []);
    socket.bufferedAmount = 0;
    clock.advance(connectionLimits.fullSocketMs);
    t.same(firsts(socket), [0xf3, 0, 0x80], 'looked at again by itself');
    t.same(seen.slice(1), [`dropped ${String(lane.audio)}`]);
  },
);

t.test('with credits, what does not fit the window waits in its order', async (t) => {
  const { socket, clock, connection, seen } = connect();
  socket.onopen?.();
  const server = new TunnelFlow({ now: 0, onDrop: () => undefined, messageBytes: 16_384 });
  server.agree();
  connection.agreeOnCredits();
  for (let i = 0; i < 60; i++) connection.sendDatagram(new Uint8Array(1000).fill(0x80), videoMeta);
  await Promise.resolve();
  const inFlight = socket.sent.reduce((sum, { length }) => sum + length, 0);
  t.ok(inFlight <= flowLimits.minWindowBytes + 1002 + 2 * (2 + creditFrameBytes), `${String(inFlight)} bytes`);
  connection.sendDatagram(new Uint8Array(100).fill(0x81), audioMeta);
  await Promise.resolve();
  t.equal(socket.sent.at(-1)?.at(-1), 0x81, 'audio overtakes');
  clock.advance(40);
  answer(server, socket, clock.now());
  await Promise.resolve();
  t.ok(connection.deliveryRate);
  clock.advance(1000);
  connection.sendDatagram(new Uint8Array(100).fill(0x81), audioMeta);
  t.ok(seen.includes(`dropped ${String(lane.video)}`));

  const credit = Uint8Array.of(creditType, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0);
  socket.onmessage?.(encodeFrame(credit));
  t.ok(seen.includes('closed 4202 '), 'credit for what was never sent');
  t.equal(clock.pendingTimers, 0);
});

t.test('what comes is credited: in time, or at once when asked', async (t) => {
  const { socket, clock, connection } = connect();
  socket.onopen?.();
  connection.agreeOnCredits();
  const server = new TunnelFlow({ now: 0, onDrop: () => undefined, messageBytes: 16_384 });
  server.agree();
  const deliver = (): void => {
    for (let message = server.nextMessage(clock.now()); message !== null; message = server.nextMessage(clock.now())) {
      socket.onmessage?.(message);
    }
  };
  server.push(new Uint8Array(flowLimits.creditLeastBytes).fill(0x80), audioMeta, clock.now());
  deliver();
  await Promise.resolve();
  t.same(socket.sent, []);
  clock.advance(flowLimits.creditDelayMs);
  t.equal(socket.sent.length, 1);
  answer(server, socket, clock.now());
  t.equal(server.inFlightBytes, 0, 'credited');
  for (let i = 0; i < 10; i++) server.push(new Uint8Array(1000).fill(0x80), audioMeta, clock.now());
  deliver();
  await Promise.resolve();
  t.same(firsts(socket), [creditType], 'asked');
});

t.test('a message is delivered frame by frame, until somebody closes', (t) => {
  const { socket, seen } = connect();
  socket.onopen?.();
  const message = Buffer.concat([1, 99, 2].map((first) => encodeFrame(Uint8Array.of(first))));
  socket.onmessage?.(message);
  t.same(seen, ['opened', 'frame 1', 'frame 99', 'end']);
  t.same(socket.closes, [4000]);
  t.equal(socket.onclose, null);
  t.end();
});

t.test('broken framing, lost connections and those that never open', (t) => {
  const broken = connect();
  broken.socket.onopen?.();
  broken.socket.onmessage?.(Uint8Array.of(0, 9));
  t.same(broken.seen, ['opened', 'end', 'closed 4202 ']);
  t.same(broken.socket.closes, [4202]);

  const lost = connect();
  lost.socket.onopen?.();
  lost.socket.onclose?.({ wire: 1006, reason: '' });
  t.same(lost.seen, ['opened', 'closed 1006 ']);

  const slow = connect();
  slow.clock.advance(10_000);
  t.same(slow.seen, ['closed 1006 edge-unreachable']);
  t.equal(slow.clock.pendingTimers, 0);
  t.end();
});
