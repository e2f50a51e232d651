import { once } from 'node:events';
import t from 'tap';
import { stunMethod } from '../tunnel-protocol/index.ts';
import { BatchedStream } from './batched-stream.ts';
import { LoopbackServer, loopback, TestPeer } from './testing/loopback.ts';
import { channelData, packet, requestUdp } from './testing/turn-client.ts';

t.test('TURN over TCP: everything through one connection, whatever the cuts', async (t) => {
  const peer = await TestPeer.open();
  const server = await LoopbackServer.start({ relayAllow: [`${loopback}:${String(peer.address.port)}`] });
  t.teardown(async () => {
    peer.close();
    await server.close();
  });
  const { client, socket } = await server.streamClient('tcp');
  t.equal((await client.allocate()).code, null);
  t.equal((await client.bindChannel(0x4000, peer.address)).code, null);
  for (const length of [1, 2, 3, 4, 5]) {
    const bytes = channelData(0x4000, Buffer.alloc(length, 0x80));
    for (const byte of bytes) socket.write(Buffer.of(byte));
  }
  t.same(
    (await peer.arrived(5)).map(({ length }) => length),
    [1, 2, 3, 4, 5],
  );
  for (const length of [1, 2, 3, 4, 5]) await peer.send(Buffer.alloc(length, 0x80), client.relayed?.port ?? 0);
  t.same(
    (await client.arrived(5)).map(({ data }) => data.length),
    [1, 2, 3, 4, 5],
  );
  client.sendTo(peer.address, packet('a Send indication'));
  t.same((await peer.arrived(6))[5], packet('a Send indication'));
  t.equal(server.server.streams, 1);
  socket.destroy();
  await once(socket, 'close');
  while (server.server.streams > 0) await new Promise((resolve) => setImmediate(resolve));
  t.equal(server.server.allocations, 0, 'the allocation goes with its connection');
});

t.test('connections are limited: in number, in time, in failures, in what they may say', async (t) => {
  let now = 0;
  const server = await LoopbackServer.start(
    { limits: { streams: 3, streamIdleMs: 10_000, streamFailures: 4 } },
    { deps: { now: () => now } },
  );
  t.teardown(() => server.close());
  const idle = await server.streamClient('tcp');
  const user = await server.streamClient('tcp');
  await user.client.allocate();
  const babbler = await server.streamClient('tcp');
  const refused = await server.streamClient('tcp');
  await once(refused.socket, 'close');
  t.equal(server.server.counters.streams_refused, 1);
  babbler.socket.write('GET / HTTP/1.1\r\n\r\n');
  await once(babbler.socket, 'close');
  t.equal(server.server.counters.streams_malformed, 1);

  const guesser = await server.streamClient('tcp');
  for (let i = 0; i < 4; i++) await guesser.client.challenge();
  guesser.client.raw(guesser.client.build(stunMethod.Allocate, requestUdp, { signed: false }));
  await once(guesser.socket, 'close');

  now = 10_000;
  server.server.tick(now);
  await once(idle.socket, 'close');
  t.same([server.server.streams, server.server.counters.streams_timed_out], [1, 1]);
  await user.client.refresh(0);
  now = 20_000;
  server.server.tick(now);
  await once(user.socket, 'close');
  t.equal(server.server.streams, 0);
});

t.test('one write per turn of the loop, and none when the client does not keep up', async (t) => {
  const peer = await TestPeer.open();
  const server = await LoopbackServer.start({
    relayAllow: [`${loopback}:${String(peer.address.port)}`],
  });
  t.teardown(async () => {
    peer.close();
    await server.close();
  });
  const { client, socket } = await server.streamClient('tcp');
  const writes: Uint8Array[] = [];
  let buffered = 0;
  let closed = 0;
  const stream = new BatchedStream({
    kind: 'turn-tls',
    remote: { address: '192.0.2.1', port: 1 },
    local: { address: '192.0.2.2', port: 443 },
    write: (bytes) => writes.push(bytes),
    bufferedBytes: () => buffered,
    backlogBytes: 1000,
    close: () => closed++,
  });
  const input = server.server.acceptStream(stream);
  if (input === null) throw new Error('refused');
  await client.challenge();
  socket.destroy();
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const binding = client.build(stunMethod.Binding, undefined, { signed: false });
  for (let i = 0; i < 3; i++) input.push(binding);
  t.equal(writes.length, 0);
  await turn();
  t.same(
    writes.map(({ length }) => length),
    [3 * 32],
  );
  buffered = 1001;
  input.push(binding);
  await turn();
  t.equal(writes.length, 1);
  buffered = 0;
  input.push(binding);
  server.server.close();
  t.same([writes.length, closed], [2, 1], 'what is left is written at the end');
  input.push(binding);
  input.closed();
  await turn();
  t.equal(writes.length, 2);
});
