import t from 'tap';
import { encodeFrame } from '../../tunnel-protocol/index.ts';
import { VirtualClock } from '../testing/virtual-clock.ts';
import { TunnelConnection } from './tunnel-connection.ts';
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
    closed: ({ wire, error }) => seen.push(`closed ${String(wire)} ${error?.code ?? ''}`),
  });
  return { socket, clock, connection, seen };
}

t.test('what is sent in one task is one message, larger batches are several', async (t) => {
  const { socket, connection, seen } = connect();
  t.notOk(connection.sendDatagram(Uint8Array.of(0x80)), 'not before it is open');
  connection.sendControl(Uint8Array.of(0xf3));
  socket.onopen?.();
  t.same(seen, ['opened']);
  for (let i = 0; i < 3; i++) connection.sendDatagram(Uint8Array.of(0x80, i));
  t.same(socket.sent, []);
  await Promise.resolve();
  t.same(
    socket.sent.map(({ length }) => length),
    [12],
  );
  for (let i = 0; i < 40; i++) t.ok(connection.sendDatagram(new Uint8Array(2000).fill(0x80)));
  await Promise.resolve();
  t.same(
    socket.sent.map(({ length }) => length),
    [12, 32 * 2002, 8 * 2002],
  );
});

t.test('when too much waits, media is dropped first, control frames never', async (t) => {
  const { socket, connection } = connect();
  socket.onopen?.();
  const rtp = Uint8Array.of(0x80, 96);
  const rtcp = Uint8Array.of(0x80, 200);
  const stun = Uint8Array.of(0, 1);
  t.same(
    [rtp, rtcp, stun].map((datagram) => connection.sendDatagram(datagram)),
    [true, true, true],
  );
  socket.bufferedAmount = 200_000;
  t.same(
    [rtp, rtcp, stun].map((datagram) => connection.sendDatagram(datagram)),
    [false, true, true],
  );
  socket.bufferedAmount = 2_000_000;
  t.same(
    [rtp, rtcp, stun].map((datagram) => connection.sendDatagram(datagram)),
    [false, false, false],
  );
  connection.sendControl(Uint8Array.of(0xf3));
  await Promise.resolve();
  t.equal(socket.sent[0]?.length, 5 * (2 + 2) + (2 + 1), 'five datagrams and the control frame');
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
