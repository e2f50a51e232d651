import t from 'tap';
import { encodeFrame, lane, transportMeta } from '../tunnel-protocol/index.ts';
import { iceTcpPathLimits } from './ice-tcp-path.ts';
import { mapped, startIceTcp, strangersRequest, until } from './testing/ice-tcp-fixture.ts';
import { joinWithIce } from './testing/ice-peer.ts';

const audio = { ...transportMeta, lane: lane.audio };

t.test('a connectivity check is answered, and its nomination carries the media', async (t) => {
  const bench = await startIceTcp(t);
  const peer = await joinWithIce(bench.sfu, 's');
  const client = await bench.connect();
  client.send(peer.check());
  t.same(mapped(await client.next()), { address: '127.0.0.1', port: client.socket.localPort });
  t.match(bench.paths, [{ kind: 'ice-tcp', reliable: true, ordered: true, mtu: 2048 }]);
  t.equal(bench.iceTcp.unboundConnections, 0);
  client.send(peer.check(true), peer.check(true));
  t.ok(await client.next());
  t.ok(await client.next());
  t.equal(bench.sfu.sessionsByRung().get('ice-tcp'), 1);
  t.match(bench.traffic, { received: 3, sent: 3 });

  client.socket.end();
  await client.closed;
  await until(() => bench.detached.length === 1);
  t.equal(bench.iceTcp.connections, 0);
  t.equal(bench.sfu.sessionsByRung().get('ice-tcp') ?? 0, 0, 'the SFU knows at once');
  t.same(bench.detached, bench.paths);
});

t.test('behind a load balancer the client has its own address', async (t) => {
  const bench = await startIceTcp(t);
  bench.remote = { address: '2001:db8::7', port: 4711 };
  const peer = await joinWithIce(bench.sfu, 's');
  const client = await bench.connect();
  client.send(peer.check());
  t.same(mapped(await client.next()), bench.remote);
  t.same(bench.paths[0]?.remote, bench.remote);
});

t.test('a reset at any time leaves nothing', async (t) => {
  const bench = await startIceTcp(t);
  const peer = await joinWithIce(bench.sfu, 's');
  const early = await bench.connect();
  const torn = await bench.connect();
  const bound = await bench.connect();
  torn.socket.write(encodeFrame(peer.check()).subarray(0, 9));
  bound.send(peer.check(true));
  await bound.next();
  t.equal(bench.iceTcp.connections, 3);
  for (const { socket } of [early, torn, bound]) socket.resetAndDestroy();
  await until(() => bench.detached.length === 3);
  t.equal(bench.iceTcp.connections, 0);
  t.equal(bench.iceTcp.unboundConnections, 0);
  t.equal(bench.sfu.sessionsByRung().get('ice-tcp') ?? 0, 0);
  t.equal(bench.paths[0]?.send(Uint8Array.of(128, 0), audio), false);
  t.equal(bench.traffic.dropped.closed, 1);
});

t.test('connections that do not prove themselves are cut', async (t) => {
  const bench = await startIceTcp(t);
  const { clock, iceTcp, refused } = bench;
  const peer = await joinWithIce(bench.sfu, 's');
  const bound = await bench.connect();
  bound.send(peer.check(true));
  await bound.next();
  const silent = await bench.connect();
  clock.now = 4000;
  const later = await bench.connect();
  later.send(strangersRequest(), strangersRequest());
  await until(() => bench.traffic.received === 3);

  clock.now = 9999;
  iceTcp.tick(clock.now);
  t.equal(iceTcp.connections, 3);
  clock.now = 10_000;
  iceTcp.tick(clock.now);
  await silent.closed;
  t.equal(iceTcp.connections, 2);
  clock.now = 14_000;
  iceTcp.tick(clock.now);
  await later.closed;
  t.equal(iceTcp.connections, 1);
  t.equal(refused.get('ice_tcp_unproved'), 2);

  clock.now = 1_000_000;
  iceTcp.tick(clock.now);
  t.equal(iceTcp.connections, 1, 'it is its session that keeps it');
  bench.sfu.endSession('s', 'kicked');
  t.equal(iceTcp.unboundConnections, 1);
  iceTcp.tick(clock.now + 9999);
  t.equal(iceTcp.connections, 1, 'it may be taken up again for as long as a new one');
  iceTcp.tick(clock.now + 10_000);
  await bound.closed;
  t.equal(iceTcp.connections, 0);
});

t.test('a path that was let go of can be bound again', async (t) => {
  const bench = await startIceTcp(t);
  const first = await joinWithIce(bench.sfu, 'a');
  const client = await bench.connect();
  client.send(first.check());
  await client.next();
  bench.sfu.endSession('a', 'left');
  const second = await joinWithIce(bench.sfu, 'b');
  bench.clock.now = 9000;
  client.send(second.check());
  t.ok(mapped(await client.next()));
  bench.iceTcp.tick(100_000);
  t.equal(bench.iceTcp.connections, 1);
});

t.test('a flood of checks that nobody accepts is cut short', async (t) => {
  const bench = await startIceTcp(t);
  const client = await bench.connect();
  const many = Array.from({ length: 1000 }, strangersRequest);
  client.send(...many);
  await client.closed;
  t.equal(bench.traffic.received, iceTcpPathLimits.strangersDatagrams);
  t.equal(bench.refused.get('ice_tcp_unproved'), 1);

  const peer = await joinWithIce(bench.sfu, 's');
  const good = await bench.connect();
  good.send(...Array.from({ length: iceTcpPathLimits.strangersDatagrams - 1 }, strangersRequest), peer.check(true));
  t.ok(mapped(await good.next()));
  good.send(...many, peer.check());
  t.ok(mapped(await good.next()), 'once bound, it is the SFU that counts');
});

t.test('limits: per client the newest is refused, in all the oldest stranger goes', async (t) => {
  const bench = await startIceTcp(t, { connections: 5, connectionsPerClient: 3 });
  const { iceTcp, refused } = bench;
  const peer = await joinWithIce(bench.sfu, 's');
  const mine = [await bench.connect(), await bench.connect(), await bench.connect()];
  const fourth = await bench.connect();
  await fourth.closed;
  t.equal(refused.get('ice_tcp_full_client'), 1);
  t.equal(iceTcp.connections, 3);
  mine[0]?.send(peer.check());
  await mine[0]?.next();

  bench.remote = { address: '2001:db8::1', port: 1 };
  await bench.connect();
  await bench.connect();
  bench.remote = { address: '2001:db8::ffff:0:0:1', port: 1 };
  await bench.connect();
  await mine[1]?.closed;
  t.equal(refused.get('ice_tcp_full'), 1);
  t.equal(iceTcp.connections, 5);
  t.notOk(mine[0]?.isClosed, 'one that has proved itself stays');
  const neighbour = await bench.connect();
  await neighbour.closed;
  t.equal(refused.get('ice_tcp_full_client'), 2, 'a /64 is one client');

  for (const client of mine) client.socket.destroy();
  await until(() => iceTcp.connections === 3);
  bench.remote = { address: '192.0.2.1', port: 1 };
  await bench.connect();
  t.equal(iceTcp.connections, 4, 'ended ones count no more');
});

t.test('when all have proved themselves, there is no room for strangers', async (t) => {
  const bench = await startIceTcp(t, { connections: 2 });
  const peer = await joinWithIce(bench.sfu, 's');
  const both = [await bench.connect(), await bench.connect()];
  for (const client of both) {
    client.send(peer.check());
    await client.next();
  }
  const third = await bench.connect();
  await third.closed;
  t.equal(bench.refused.get('ice_tcp_full'), 1);
  t.equal(bench.iceTcp.connections, 2);
});

t.test('close ends them all', async (t) => {
  const bench = await startIceTcp(t);
  const peer = await joinWithIce(bench.sfu, 's');
  const clients = [await bench.connect(), await bench.connect()];
  clients[0]?.send(peer.check(true));
  await clients[0]?.next();
  bench.iceTcp.close();
  for (const client of clients) await client.closed;
  await until(() => bench.detached.length === 2);
  t.equal(bench.iceTcp.connections, 0);
  t.equal(bench.sfu.sessionsByRung().get('ice-tcp') ?? 0, 0);
  bench.iceTcp.close();
});
