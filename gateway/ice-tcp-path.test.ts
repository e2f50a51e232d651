import { randomBytes } from 'node:crypto';
import t from 'tap';
import { encodeFrame, lane, transportMeta, type Path, type SendMeta } from '../tunnel-protocol/index.ts';
import { iceTcpPathLimits } from './ice-tcp-path.ts';
import type { FramedClient } from './testing/framed-client.ts';
import { mapped, startIceTcp, strangersRequest, until } from './testing/ice-tcp-fixture.ts';
import { joinWithIce } from './testing/ice-peer.ts';

const video: SendMeta = { ...transportMeta, lane: lane.video, deadlineMs: 300 };
const audio: SendMeta = { ...transportMeta, lane: lane.audio, deadlineMs: 200 };
const rtp = (bytes: number, mark = 0): Uint8Array => {
  const packet = new Uint8Array(bytes).fill(mark);
  packet[0] = 128;
  return packet;
};

t.test('frames may come byte by byte', async (t) => {
  const bench = await startIceTcp(t);
  const peer = await joinWithIce(bench.sfu, 's');
  const client = await bench.connect();
  const bytes = Buffer.concat([encodeFrame(peer.check()), encodeFrame(rtp(3)), encodeFrame(peer.check(true))]);
  for (const [i, byte] of bytes.entries()) {
    client.socket.write(Uint8Array.of(byte));
    await until(() => bench.sockets[0]?.bytesRead === i + 1);
  }
  t.ok(mapped(await client.next()));
  t.ok(mapped(await client.next()));
  t.equal(bench.traffic.received, 3);
});

t.test('what is not for a stranger, or not for ICE at all, is dropped and counted', async (t) => {
  const bench = await startIceTcp(t);
  const peer = await joinWithIce(bench.sfu, 's');
  const client = await bench.connect();
  const first = (byte: number): Uint8Array => Uint8Array.of(byte, 0, 0, 0);
  client.send(first(22), first(128), first(0xf0), first(64), first(100), first(200), first(0));
  client.send(peer.check());
  await client.next();
  const { dropped } = bench.traffic;
  t.equal(dropped['unknown-source'], 2, 'DTLS and RTP of a stranger');
  t.equal(dropped['control-not-allowed'], 1);
  t.equal(dropped.class, 3);
  t.equal(bench.traffic.received, 2, 'STUN alone');

  client.send(first(22), first(128), first(0xff), first(79), peer.check());
  await client.next();
  t.equal(bench.traffic.received, 5, 'from then on DTLS and RTP as well');
  t.equal(dropped['control-not-allowed'], 2);
  t.equal(dropped.class, 4);

  const [path] = bench.paths;
  t.equal(path?.send(first(0xf2), { ...transportMeta, lane: lane.control }), false);
  t.equal(path?.send(first(70), transportMeta), false);
  t.equal(path?.send(new Uint8Array(0), transportMeta), false);
  t.equal(path?.send(rtp(2049), video), false);
  t.equal(dropped['control-not-allowed'], 3);
  t.equal(dropped.class, 5);
  t.equal(dropped.oversized, 2);
  t.equal(path?.send(rtp(2048), video), true);
  t.equal((await client.next())?.length, 2048);
});

t.test('faulty frames end the connection', async (t) => {
  const bench = await startIceTcp(t);
  for (const [name, bytes] of Object.entries({
    oversized: [8, 1],
    huge: [255, 255, 0, 1],
    empty: [0, 0],
    'empty after a good one': [0, 2, 128, 1, 0, 0],
  })) {
    const client = await bench.connect();
    client.socket.write(Uint8Array.from(bytes));
    await client.closed;
    t.equal(await client.next(), null, name);
  }
  t.equal(bench.refused.get('ice_tcp_malformed'), 4);
  t.equal(bench.traffic.dropped.oversized, 2);
  await until(() => bench.detached.length === 4);
  t.equal(bench.iceTcp.connections, 0);
});

t.test('the datagrams of one turn leave in one write, by lane', async (t) => {
  const bench = await startIceTcp(t);
  const peer = await joinWithIce(bench.sfu, 's');
  const client = await bench.connect();
  client.send(peer.check());
  await client.next();
  const [socket] = bench.sockets;
  const [path] = bench.paths;
  if (socket === undefined || path === undefined) throw new Error('no connection');
  let writes = 0;
  const write = socket.write.bind(socket);
  socket.write = (chunk: Uint8Array | string) => {
    writes++;
    return write(chunk);
  };
  for (const mark of [1, 2]) path.send(rtp(1000, mark), video);
  path.send(rtp(100, 3), audio);
  path.send(Uint8Array.of(20, 4), transportMeta);
  t.equal(writes, 0);
  await until(() => writes > 0);
  const came = [await client.next(), await client.next(), await client.next(), await client.next()];
  t.same(
    came.map((frame) => frame?.[1]),
    [4, 3, 1, 2],
  );
  t.equal(writes, 1);
});

t.test('a slow reader gets what is still worth something', async (t) => {
  const bench = await startIceTcp(t);
  const { clock, traffic } = bench;
  const { socketHighWaterBytes, maxMediaBytes } = iceTcpPathLimits;
  const client = await bench.connect();
  client.send(strangersRequest());
  await until(() => bench.paths.length === 1);
  const [path] = bench.paths;
  const [socket] = bench.sockets;
  if (path === undefined || socket === undefined) throw new Error('no connection');
  client.socket.pause();
  let sent = 0;
  const push = (packet: Uint8Array, meta: SendMeta): void => {
    if (path.send(packet, meta)) sent++;
  };
  // Until both kernels and the socket are full.
  while (socket.writableLength < socketHighWaterBytes) {
    for (let i = 0; i < 16; i++) push(rtp(1000, 1), video);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const held = socket.writableLength;
  t.ok(held < socketHighWaterBytes + iceTcpPathLimits.writeBytes, 'little is given to the socket ahead');
  t.equal(traffic.dropped['queue-full'] + traffic.dropped.stale, 0);

  clock.now = 1000;
  await new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 300; i++) push(rtp(1000, 2), video);
  t.ok(traffic.dropped['queue-full'] >= 300 - Math.ceil(maxMediaBytes / 1000), 'bounded in bytes');
  for (let i = 0; i < 20; i++) push(rtp(100, 3), audio);
  push(Uint8Array.of(20, 9), transportMeta);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(socket.writableLength, held, 'and nothing more is given to it');

  // The audio is too old after 200 ms, the video after 300.
  clock.now = 1250;
  client.socket.resume();
  await until(() => traffic.sent + traffic.dropped.stale + traffic.dropped['queue-full'] === sent);
  const kept = (): number[] => client.frames.map((frame) => frame[1] ?? 0);
  await until(() => client.frames.length === traffic.sent);
  t.equal(traffic.dropped.stale, 20);
  t.equal(kept().filter((mark) => mark === 3).length, 0);
  t.equal(kept().filter((mark) => mark === 9).length, 1, 'what is not media always comes');
  const late = kept().filter((mark) => mark === 2).length;
  t.ok(late > 100 && late <= maxMediaBytes / 1000, 'video that is young enough comes');
  t.equal(kept().lastIndexOf(1) < kept().indexOf(9) && kept().indexOf(9) < kept().indexOf(2), true);
});

t.test('readers that never read are cut', async (t) => {
  const bench = await startIceTcp(t);
  const { socketHighWaterBytes, stalledMs } = iceTcpPathLimits;
  const fill = async (client: FramedClient, index: number): Promise<Path> => {
    client.send(strangersRequest());
    await until(() => bench.paths.length === index + 1);
    const path = bench.paths[index];
    const socket = bench.sockets[index];
    if (path === undefined || socket === undefined) throw new Error('no connection');
    client.socket.pause();
    while (socket.writableLength < socketHighWaterBytes) {
      for (let i = 0; i < 16; i++) path.send(rtp(1000), video);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return path;
  };
  const one = await fill(await bench.connect(), 0);
  let taken = 0;
  while (one.send(new Uint8Array(2000).fill(20), transportMeta)) taken += 2000;
  t.ok(taken > 100_000 && taken <= iceTcpPathLimits.maxReliableBytes);
  t.equal(bench.refused.get('ice_tcp_slow_reader'), 1);
  await until(() => bench.detached.length === 1);

  await fill(await bench.connect(), 1);
  bench.iceTcp.tick(1000);
  bench.iceTcp.tick(1000 + stalledMs - 1);
  t.equal(bench.refused.get('ice_tcp_slow_reader'), 1);
  // It has not proved itself either, which is no matter of this test.
  bench.iceTcp.tick(1000 + stalledMs);
  await until(() => bench.detached.length === 2);
});

t.test('random streams never throw and leave nothing', async (t) => {
  const bench = await startIceTcp(t);
  const peer = await joinWithIce(bench.sfu, 's');
  for (let i = 0; i < 100; i++) {
    const client = await bench.connect();
    const good = encodeFrame(peer.check());
    const bytes = Buffer.concat([good, randomBytes(1 + (i % 40)), good, good]);
    // A mutated byte somewhere, and a cut anywhere.
    bytes[(i * 37) % bytes.length] = i;
    for (let at = 0; at < bytes.length; at += 50 + i) client.socket.write(bytes.subarray(at, at + 50 + i));
    client.socket.end();
    await client.closed;
  }
  await until(() => bench.detached.length === 100);
  t.equal(bench.iceTcp.connections, 0);
});
