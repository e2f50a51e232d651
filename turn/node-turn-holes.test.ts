/** Every hole that was found in node-turn 0.0.6, tried against this server over real UDP sockets: none is left. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { concatBytes, putU16, stunAttribute, stunMethod } from '../tunnel-protocol/index.ts';
import { createDgramRelaySocket, type CreateRelaySocket } from './relay-socket.ts';
import { defaultTurnLimits } from './config.ts';
import { LoopbackServer, loopback, TestPeer } from './testing/loopback.ts';
import type { TurnDeps } from './turn-server.ts';
import { packet, requestUdp, type TurnTestClient } from './testing/turn-client.ts';

interface Scene {
  readonly server: LoopbackServer;
  readonly client: TurnTestClient;
  readonly peer: TestPeer;
  /** Relay sockets that are open. */
  readonly openSockets: () => number;
}

async function scene(t: Test, session = 's', deps: Partial<TurnDeps> = {}): Promise<Scene> {
  const peer = await TestPeer.open();
  let open = 0;
  const createRelaySocket: CreateRelaySocket = async (options) => {
    const socket = await createDgramRelaySocket(options);
    open++;
    return {
      target: (...peer) => socket.target(...peer),
      close: () => {
        open--;
        socket.close();
      },
    };
  };
  const relayAllow = [`${loopback}:${String(peer.address.port)}`];
  const server = await LoopbackServer.start({ relayAllow }, { deps: { createRelaySocket, ...deps } });
  t.teardown(async () => {
    peer.close();
    await server.close();
  });
  return { server, peer, client: await server.udpClient(session), openSockets: () => open };
}

t.test('users and nonces named as members of Object.prototype', async (t) => {
  const { server } = await scene(t);
  const prototype = Object.prototype as unknown as Record<string, unknown>;
  for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    const client = await server.udpClient();
    client.username = name;
    client.credential = String(name === 'constructor' ? Object : prototype[name]);
    t.equal((await client.allocate()).code, 401, name);
    const honest = await server.udpClient();
    await honest.challenge();
    honest.nonce = name;
    t.equal((await honest.allocate()).code, 438, name);
  }
  t.equal(server.server.allocations, 0);
});

t.test('short datagrams of a permitted peer', async (t) => {
  const { client, peer, server } = await scene(t);
  await client.allocate();
  await client.permit(peer.address);
  const port = client.relayed?.port ?? 0;
  for (const bytes of [[], [1], [0x40, 1], [0x40, 1, 0], [0x40, 0, 0xff, 0xff]])
    await peer.send(Buffer.from(bytes), port);
  await peer.send(packet('alive'), port);
  const received = await client.arrived(1);
  while (!client.received.some(({ data }) => data.equals(packet('alive')))) await client.arrived(received.length + 1);
  t.equal(server.server.counters.internal_error, 0);
});

t.test('a payload that looks like ChannelData goes through as it is', async (t) => {
  const { client, peer } = await scene(t);
  await client.allocate();
  await client.bindChannel(0x4001, peer.address);
  const evil = Buffer.from('40020004DATA'.replace('DATA', '44415441'), 'hex');
  await peer.send(evil, client.relayed?.port ?? 0);
  t.match(await client.arrived(1), [{ channel: 0x4001, data: evil }]);
});

t.test('peers are refused in every form', async (t) => {
  const { server, client } = await scene(t);
  const six = await server.udpClient();
  await client.allocate();
  await six.allocate((builder) => builder.u32(stunAttribute.REQUESTED_ADDRESS_FAMILY, 2 << 24));
  const addresses = ['127.0.0.2', '10.0.0.1', '169.254.169.254', '0.0.0.0', '0.1.2.3', '224.0.0.1', '255.255.255.255'];
  addresses.push('::1', '::', '::ffff:127.0.0.1', '::ffff:10.0.0.1', '::127.0.0.1', 'ff02::1', 'fe80::1');
  addresses.push('2002:7f00:1::', '64:ff9b::7f00:1', '2001:db8::1');
  for (const address of addresses) {
    const user = address.includes(':') ? six : client;
    t.equal((await user.permit({ address, port: 1 })).code, 403, `CreatePermission ${address}`);
    t.equal((await user.bindChannel(0x4000, { address, port: 1 })).code, 403, `ChannelBind ${address}`);
    user.sendTo({ address, port: 1 }, packet('x'));
  }
  await client.request(stunMethod.Refresh);
  await six.request(stunMethod.Refresh);
  t.equal(server.server.counters.relayed_to_peer, 0);
  t.equal(server.server.counters.dropped_no_permission, addresses.length);
  // The address that one port is allowed of: only this port.
  const other = await TestPeer.open();
  t.equal((await client.bindChannel(0x4000, other.address)).code, 403);
  other.close();
});

t.test('Refresh keeps the allocation; deallocation ends it, relay socket and all', async (t) => {
  const { client, peer, server, openSockets } = await scene(t);
  const before = openSockets();
  await client.allocate();
  await client.permit(peer.address);
  for (const reply of [await client.refresh(600), await client.refresh()]) {
    t.same([reply.code, reply.message.u32(stunAttribute.LIFETIME)], [null, 600]);
  }
  const port = client.relayed?.port ?? 0;
  await peer.send(packet('still here'), port);
  await client.arrived(1);
  t.equal(openSockets(), before + 1);
  t.equal((await client.refresh(0)).message.u32(stunAttribute.LIFETIME), 0);
  t.same([server.server.allocations, openSockets()], [0, before]);
  const successor = createSocket('udp4').bind(port, loopback);
  await once(successor, 'listening');
  successor.close();
});

t.test('Allocate again and again', async (t) => {
  const { client, server, openSockets } = await scene(t);
  await client.allocate();
  const before = openSockets();
  for (let i = 0; i < 20; i++) t.equal((await client.allocate()).code, 437);
  t.same([server.server.allocations, openSockets()], [1, before]);
  await client.refresh(0);
  const request = client.build(stunMethod.Allocate, requestUdp);
  // Twice while the relay socket is still being bound.
  client.raw(request);
  t.equal((await client.ask(request)).code, null);
  t.same((await client.ask(request)).code, null);
  t.equal(openSockets(), before);
  t.equal(server.server.allocations, 1);
});

t.test('ChannelData and Send reach the peer, and ChannelBind is authenticated', async (t) => {
  const { client, peer } = await scene(t);
  await client.allocate();
  const bound = await client.bindChannel(0x4001, peer.address);
  t.same([bound.code, bound.authentic], [null, true]);
  client.sendChannel(0x4001, packet('channel'));
  client.sendTo(peer.address, packet('indication'));
  t.same(await peer.arrived(2), [packet('channel'), packet('indication')]);
});

t.test('attributes behind MESSAGE-INTEGRITY do not exist', async (t) => {
  const { client, peer } = await scene(t);
  await client.allocate();
  const signed = client.build(stunMethod.CreatePermission);
  const { address, port } = peer.address;
  const value = Buffer.alloc(8);
  value[1] = 1;
  value.writeUInt16BE(port ^ 0x2112, 2);
  for (const [i, octet] of address.split('.').entries())
    value[4 + i] = Number(octet) ^ ([0x21, 0x12, 0xa4, 0x42][i] ?? 0);
  const forged = concatBytes([signed, Buffer.of(0, 0x12, 0, 8), value]);
  putU16(forged, 2, forged.length - 20);
  t.equal((await client.ask(forged)).code, 400, 'no peer');
});

t.test('attributes that node-turn drops or throws at', async (t) => {
  const { server } = await scene(t);
  const code = async (type: number, value: Uint8Array): Promise<number | null> =>
    (await (await server.udpClient()).allocate((builder) => builder.attribute(type, value))).code;
  t.equal(await code(0x7777, Buffer.from('abcd')), 420);
  t.equal(await code(0xc057, Buffer.from('abcd')), null);
  t.equal(await code(stunAttribute.REQUESTED_ADDRESS_FAMILY, Buffer.of(1, 0, 0, 0)), null);
  t.equal(await code(stunAttribute.EVEN_PORT, Buffer.of(0x80)), 508);
  t.equal(await code(stunAttribute.RESERVATION_TOKEN, randomBytes(8)), 508);
  t.equal(await code(stunAttribute.DONT_FRAGMENT, Buffer.of()), 420);
  t.equal(await code(stunAttribute.LIFETIME, Buffer.of(0, 0, 7, 8)), null);
});

t.test('strangers leave nothing behind and get little', async (t) => {
  // All within one moment, however long it takes.
  const { server, client } = await scene(t, 's', { now: () => 0 });
  const challenge = await client.challenge();
  t.ok(challenge.bytes.length <= 100);
  const request = client.build(stunMethod.Allocate, requestUdp, { signed: false });
  const { counters } = server.server;
  // Paced by the server's own progress, so that no socket buffer decides how many arrive.
  while (counters.requests < 5000) {
    for (let i = 0; i < 100; i++) client.raw(request);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(counters.rate_limited > 0);
  t.equal(counters.unauthenticated, 2 * defaultTurnLimits.repliesPerSecondPerPrefix, 'what may come at once');
  t.equal(server.server.allocations, 0);
});
