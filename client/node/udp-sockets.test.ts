import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { UdpSockets } from './udp-sockets.ts';

async function listen(): Promise<{ socket: ReturnType<typeof createSocket>; port: number }> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { socket, port: socket.address().port };
}

t.test('datagrams of candidates come in, those of strangers do not', async (t) => {
  const server = await listen();
  const stranger = await listen();
  const candidate = { address: '127.0.0.1', port: server.port };
  const seen: string[] = [];
  let arrived: () => void = () => undefined;
  const sockets = new UdpSockets([candidate], {
    datagram: (from, bytes) => {
      seen.push(`${String(from.port)} ${Buffer.from(bytes).toString()}`);
      arrived();
    },
  });
  t.teardown(() => {
    sockets.close();
    server.socket.close();
    stranger.socket.close();
  });
  const received = once(server.socket, 'message') as Promise<[Buffer, { port: number }]>;
  t.ok(sockets.send(candidate, Buffer.from('ping')));
  const [bytes, { port }] = await received;
  t.equal(bytes.toString(), 'ping');
  const answered = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  stranger.socket.send('forged', port, '127.0.0.1', () => {
    server.socket.send('pong', port, '127.0.0.1');
  });
  await answered;
  t.same(seen, [`${String(server.port)} pong`]);
  t.equal(sockets.strangers, 1);
});

t.test('an address that cannot be reached is no exception; nothing is sent after close', async (t) => {
  const unreachable = { address: '240.0.0.1', port: 9 };
  const sockets = new UdpSockets([unreachable], { datagram: () => undefined });
  t.ok(sockets.send(unreachable, Buffer.from('x')));
  await new Promise((resolve) => setImmediate(resolve));
  sockets.close();
  sockets.close();
  t.notOk(sockets.send(unreachable, Buffer.from('x')));
});
