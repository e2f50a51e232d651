/** RFC 8656 section by section on a virtual clock; long because it is one walk through all of it. */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import {
  addFingerprint,
  addXorAddress,
  stunAttribute,
  stunMethod,
  StunBuilder,
  unknownAttributes,
  xorAddress,
} from '../tunnel-protocol/index.ts';
import { MemoryServer } from './testing/memory-server.ts';
import { packet, requestUdp } from './testing/turn-client.ts';

const peer = { address: '203.0.113.5', port: 9000 };

t.test('Binding tells the address, with FINGERPRINT if the request had one', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  const plain = await client.ask(client.build(stunMethod.Binding, undefined, { signed: false }));
  t.equal(xorAddress(plain.message, stunAttribute.XOR_MAPPED_ADDRESS)?.address, '192.0.2.10');
  t.equal(plain.message.fingerprintAt, -1);
  const builder = new StunBuilder(0, stunMethod.Binding, randomBytes(12));
  addFingerprint(builder);
  t.not((await client.ask(builder.take())).message.fingerprintAt, -1);
});

t.test('a 401 is at most 100 bytes, has an empty reason and no SOFTWARE', async (t) => {
  const network = new MemoryServer({ realm: 'r'.repeat(48) });
  const reply = await network.client().challenge();
  t.equal(reply.code, 401);
  t.ok(reply.bytes.length <= 100, String(reply.bytes.length));
  t.equal(reply.message.value(stunAttribute.ERROR_CODE)?.length, 4);
  t.notOk(reply.message.has(stunAttribute.SOFTWARE));
  t.throws(() => new MemoryServer({ realm: 'r'.repeat(49) }), { code: 'realm-too-long' });
});

t.test('Allocate, Refresh and their lifetimes', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  const made = await client.allocate();
  t.match({ code: made.code, authentic: made.authentic }, { code: null, authentic: true });
  t.equal(made.message.u32(stunAttribute.LIFETIME), 600);
  t.equal(client.relayed?.address, '198.51.100.1');
  t.equal((await client.refresh()).message.u32(stunAttribute.LIFETIME), 600);
  t.equal((await client.refresh(1)).message.u32(stunAttribute.LIFETIME), 600);
  t.equal((await client.refresh(1800)).message.u32(stunAttribute.LIFETIME), 1800);
  t.equal((await client.refresh(0xffffffff)).message.u32(stunAttribute.LIFETIME), 3600);
  network.pass(3599);
  t.equal(network.server.allocations, 1);
  client.nonce = '';
  await client.challenge();
  t.equal((await client.refresh(0)).message.u32(stunAttribute.LIFETIME), 0);
  t.equal(network.server.allocations, 0);
  t.equal(network.sockets.size, 0, 'the relay socket is closed');
  t.equal((await client.refresh(600)).code, 437);

  const long = network.client();
  const reply = await long.allocate((builder) => builder.u32(stunAttribute.LIFETIME, 1200));
  t.equal(reply.message.u32(stunAttribute.LIFETIME), 1200);
  network.pass(1200);
  t.equal(network.server.allocations, 0, 'expired');
  t.equal(network.server.counters.allocations_ended, 2);
});

t.test('a retransmitted Allocate gets the same answer, another one 437', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  await client.challenge();
  const request = client.build(stunMethod.Allocate, requestUdp);
  const first = await client.ask(request);
  const again = await client.ask(request);
  t.same(again.bytes, first.bytes);
  t.equal(network.server.allocations, 1);
  t.equal((await client.allocate()).code, 437);
  t.equal(network.sockets.size, 1);
});

t.test('the same five-tuple may be used again after the allocation has ended', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  for (let i = 0; i < 3; i++) {
    t.equal((await client.allocate()).code, null);
    t.equal((await client.refresh(0)).code, null);
  }
  t.equal(network.sockets.size, 0);
});

t.test('what an Allocate may ask for', async (t) => {
  const network = new MemoryServer();
  const ask = async (fill: (builder: StunBuilder) => void, udp = true): Promise<number | null> => {
    const client = network.client();
    await client.challenge();
    const fillAll = (builder: StunBuilder): void => {
      if (udp) requestUdp(builder);
      fill(builder);
    };
    return (await client.request(stunMethod.Allocate, fillAll)).code;
  };
  const none = (): void => undefined;
  t.equal(await ask(none, false), 400, 'no REQUESTED-TRANSPORT');
  t.equal(await ask((b) => b.u32(stunAttribute.REQUESTED_TRANSPORT, 6 << 24), false), 442, 'TCP');
  t.equal(await ask((b) => b.flag(stunAttribute.DONT_FRAGMENT)), 420);
  t.equal(await ask((b) => b.attribute(stunAttribute.EVEN_PORT, Buffer.of(0x80))), 508, 'reserve the next one');
  t.equal(await ask((b) => b.attribute(stunAttribute.EVEN_PORT, Buffer.of())), 400);
  t.equal(await ask((b) => b.attribute(stunAttribute.RESERVATION_TOKEN, randomBytes(8))), 508);
  t.equal(await ask((b) => b.attribute(stunAttribute.RESERVATION_TOKEN, randomBytes(7))), 400);
  const both = (b: StunBuilder): void => {
    b.attribute(stunAttribute.EVEN_PORT, Buffer.of(0)).attribute(stunAttribute.RESERVATION_TOKEN, randomBytes(8));
  };
  t.equal(await ask(both), 400);
  t.equal(await ask((b) => b.u32(stunAttribute.REQUESTED_ADDRESS_FAMILY, 3 << 24)), 440);
  t.equal(await ask((b) => b.attribute(stunAttribute.REQUESTED_ADDRESS_FAMILY, Buffer.of(1))), 400);
  t.equal(await ask((b) => b.attribute(stunAttribute.LIFETIME, Buffer.of(1))), 400);
  t.equal(await ask((b) => b.flag(0xc057)), null, 'an optional attribute nobody knows');

  const even = network.client();
  t.equal((await even.allocate((b) => b.attribute(stunAttribute.EVEN_PORT, Buffer.of(0)))).code, null);
  t.equal((even.relayed?.port ?? 1) % 2, 0);

  const one = new MemoryServer({ relay: { ipv4: { advertised: '198.51.100.1', bind: '10.0.0.1' } } }).client();
  t.equal((await one.allocate((b) => b.u32(stunAttribute.REQUESTED_ADDRESS_FAMILY, 2 << 24))).code, 440);
});

t.test('420 lists what was not understood', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  const reply = await client.allocate((builder) => {
    builder.flag(0x7777).flag(0x7778).flag(0xc057);
  });
  t.equal(reply.code, 420);
  t.same(unknownAttributes(reply.message), [0x7777, 0x7778]);
  t.ok(reply.authentic);
});

t.test('IPv6: relayed addresses, and 443 for the other family', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  const six = { address: '2001:db8:9::1', port: 7 };
  await client.allocate((builder) => builder.u32(stunAttribute.REQUESTED_ADDRESS_FAMILY, 2 << 24));
  t.equal(client.relayed?.address, '2001:db8:5::1');
  t.equal((await client.permit(peer)).code, 443);
  t.equal((await client.bindChannel(0x4000, peer)).code, 443);
  t.equal((await client.permit(six)).code, null);
  const families = { ipv4: 1, ipv6: 2 };
  const refresh = async (family: number): Promise<number | null> =>
    (await client.request(stunMethod.Refresh, (b) => b.u32(stunAttribute.REQUESTED_ADDRESS_FAMILY, family << 24))).code;
  t.equal(await refresh(families.ipv4), 443);
  t.equal(await refresh(families.ipv6), null);
  client.sendTo(six, packet('out'));
  t.match(network.sent, [{ to: six, data: packet('out') }]);
  network.fromPeer(client.relayed, six, packet('in'));
  t.match(client.received, [{ channel: null, peer: six, data: packet('in') }]);
  t.equal((await client.bindChannel(0x4001, six)).code, null);
  client.sendTo(six, packet('out 2'));
  client.sendChannel(0x4001, packet('out 3'));
  t.equal(network.sent.length, 3);
  network.fromPeer(client.relayed, six, packet('in 2'));
  t.match(client.received[1], { channel: 0x4001, data: packet('in 2') });
});

t.test('permissions: both ways, five minutes, refreshed', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  await client.allocate((builder) => builder.u32(stunAttribute.LIFETIME, 3600));
  client.sendTo(peer, packet('before'));
  network.fromPeer(client.relayed, peer, packet('before'));
  t.same([network.sent.length, client.received.length], [0, 0]);
  t.equal((await client.request(stunMethod.CreatePermission)).code, 400, 'no peer');
  t.equal((await client.permit(peer)).code, null);
  client.sendTo(peer, packet('a'));
  client.sendTo({ ...peer, port: 9001 }, packet('b'));
  network.fromPeer(client.relayed, { ...peer, port: 9002 }, packet('c'));
  network.fromPeer(client.relayed, { address: '203.0.113.6', port: 9000 }, packet('stranger'));
  t.same([network.sent.length, client.received.length], [2, 1]);
  network.pass(200);
  await client.permit(peer);
  network.pass(299);
  client.sendTo(peer, packet('d'));
  t.equal(network.sent.length, 3);
  network.pass(1);
  client.sendTo(peer, packet('late'));
  network.fromPeer(client.relayed, peer, packet('late'));
  t.same([network.sent.length, client.received.length], [3, 1]);
  await client.permit(peer);
  client.sendTo(peer, packet('again'));
  t.equal(network.sent.length, 4, 'and lives again');
  t.ok(network.server.counters.dropped_no_permission >= 5);
});

t.test('channels: what may be bound, ten minutes, and not without a permission', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  await client.allocate((builder) => builder.u32(stunAttribute.LIFETIME, 3600));
  t.equal((await client.request(stunMethod.ChannelBind)).code, 400);
  for (const channel of [0, 0x3fff, 0x8000, 0xffff]) t.equal((await client.bindChannel(channel, peer)).code, 400);
  const bound = await client.bindChannel(0x4000, peer);
  t.same([bound.code, bound.authentic], [null, true]);
  t.equal((await client.bindChannel(0x4000, peer)).code, null, 'refreshed');
  t.equal((await client.bindChannel(0x4001, peer)).code, 400, 'the peer has another channel');
  t.equal((await client.bindChannel(0x4000, { ...peer, port: 1 })).code, 400, 'the channel has another peer');
  client.sendChannel(0x4000, packet('out'));
  client.sendChannel(0x4001, packet('no such channel'));
  network.fromPeer(client.relayed, peer, packet('in'));
  t.match(network.sent, [{ to: peer, data: packet('out') }]);
  t.match(client.received, [{ channel: 0x4000, data: packet('in') }]);
  network.pass(301);
  client.sendChannel(0x4000, packet('the permission is gone'));
  network.fromPeer(client.relayed, peer, packet('the permission is gone'));
  t.same([network.sent.length, client.received.length], [1, 1]);
  await client.permit(peer);
  client.sendChannel(0x4000, packet('on the channel again'));
  network.fromPeer(client.relayed, peer, packet('on the channel again'));
  t.equal(network.sent.length, 2);
  t.equal(client.received[1]?.channel, 0x4000);
  network.pass(299);
  await client.permit(peer);
  network.fromPeer(client.relayed, peer, packet('the channel is gone'));
  t.equal(client.received[2]?.channel, null);
  t.equal((await client.bindChannel(0x4005, peer)).code, null, 'another one may be bound');
});

t.test('a nonce ages, belongs to an address, and cannot be made up', async (t) => {
  const network = new MemoryServer({ limits: { nonceLifetimeMs: 100_000 } });
  const client = network.client();
  await client.allocate();
  const { nonce } = client;
  network.pass(99);
  t.equal((await client.refresh()).code, null);
  network.pass(1);
  const stale = await client.refresh();
  t.equal(stale.code, 438);
  client.nonce = stale.message.text(stunAttribute.NONCE) ?? '';
  t.not(client.nonce, nonce);
  t.equal((await client.refresh()).code, null);
  for (const wrong of ['', 'constructor', '__proto__', 'A'.repeat(16), 'A'.repeat(700), `${nonce}A`]) {
    client.nonce = wrong;
    t.equal((await client.refresh()).code, 438, wrong.slice(0, 20));
  }
  const elsewhere = network.client({ address: '192.0.2.11' });
  await elsewhere.challenge();
  elsewhere.nonce = stale.message.text(stunAttribute.NONCE) ?? '';
  t.equal((await elsewhere.allocate()).code, 438);
});

t.test('who may come in', async (t) => {
  const network = new MemoryServer();
  const expired = network.client({ expiresInSeconds: -1 });
  t.equal((await expired.allocate()).code, 401);
  network.deadSessions.add('dead');
  t.equal((await network.client({ session: 'dead' }).allocate()).code, 401);
  const wrong = network.client();
  wrong.credential = 'wrong';
  t.equal((await wrong.allocate()).code, 401);
  const realm = network.client();
  await realm.challenge();
  realm.realm = 'another';
  t.equal((await realm.allocate()).code, 401);
  for (const username of ['constructor', '__proto__', 'toString', '1:', ':s1', '99999999999', '99999999999:a b', '']) {
    t.equal((await network.client({ username }).allocate()).code, 401, username);
  }
  const partly = network.client();
  await partly.challenge();
  const request = new StunBuilder(0, stunMethod.Allocate, randomBytes(12));
  requestUdp(request);
  request.attribute(stunAttribute.MESSAGE_INTEGRITY, randomBytes(20));
  t.equal((await partly.ask(request.take())).code, 400, 'MESSAGE-INTEGRITY alone');
  t.equal(network.server.allocations, 0);
});

t.test('a refresh works while the session lives, whatever the expiry', async (t) => {
  const network = new MemoryServer();
  const client = network.client({ expiresInSeconds: 60 });
  await client.allocate();
  network.pass(500);
  t.equal((await client.refresh()).code, null);
  t.equal((await client.permit(peer)).code, null);
  network.deadSessions.add('s1');
  t.equal((await client.refresh()).code, 401);
  network.server.endSession('s1');
  t.equal(network.server.allocations, 0);
  t.equal(network.sockets.size, 0);
});

t.test('441 for another user on the same five-tuple', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  await client.allocate();
  const other = network.client({ session: 's2' });
  client.username = other.username;
  client.credential = other.credential;
  t.equal((await client.refresh()).code, 441);
  t.equal((await client.permit(peer)).code, 441);
  t.equal(network.server.allocations, 1);
});

t.test('quotas', async (t) => {
  const network = new MemoryServer({
    limits: {
      allocationsPerUser: 2,
      allocationsPerAddress: 3,
      permissionsPerUser: 3,
      channelsPerUser: 2,
      bytesPerSecondPerUser: 1000,
    },
  });
  const [a, b] = [network.client(), network.client()];
  await a.allocate();
  await b.allocate();
  t.equal((await network.client().allocate()).code, 486, 'the user');
  t.equal((await network.client({ session: 's2' }).allocate()).code, null);
  t.equal((await network.client({ session: 's3' }).allocate()).code, 486, 'the address');
  t.equal((await network.client({ session: 's3', address: '192.0.2.99' }).allocate()).code, null);
  const peers = [1, 2, 3, 4].map((n) => ({ address: `203.0.113.${String(n)}`, port: 1 }));
  t.equal((await a.permit(...peers)).code, 508, 'all or none');
  for (const [index, to] of peers.entries()) {
    const { code } = await a.permit(to);
    t.equal(code, index < 3 ? null : 508);
    if (code !== null) break;
  }
  t.equal((await a.bindChannel(0x4000, { address: '203.0.113.1', port: 1 })).code, null);
  t.equal((await a.bindChannel(0x4001, { address: '203.0.113.1', port: 2 })).code, null);
  t.equal((await a.bindChannel(0x4002, { address: '203.0.113.1', port: 3 })).code, 508);
  for (let i = 0; i < 20; i++) a.sendChannel(0x4000, Buffer.alloc(100, 0x80));
  t.equal(network.sent.length, 10);
  t.equal(network.server.counters.dropped_bandwidth, 10);
  network.pass(0.5);
  for (let i = 0; i < 20; i++) a.sendChannel(0x4000, Buffer.alloc(100, 0x80));
  t.equal(network.sent.length, 15);
  network.server.close();
  t.equal(network.sockets.size, 0);
  const after = network.client({ session: 's1' });
  t.equal((await after.allocate()).code, 508, 'closed');
});

t.test('answers to strangers are limited per /24 and for all, then there is silence', async (t) => {
  const network = new MemoryServer({ limits: { repliesPerSecondPerPrefix: 5, repliesPerSecond: 10 } });
  let answers = 0;
  const flood = (address: string, count: number): void => {
    for (let i = 0; i < count; i++) {
      const client = network.client({ address });
      void client.challenge().then(() => answers++);
    }
  };
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  flood('192.0.2.1', 30);
  flood('192.0.2.200', 30);
  await settled();
  t.equal(answers, 10, 'two seconds of the prefix');
  flood('192.0.3.1', 30);
  flood('192.0.4.1', 30);
  await settled();
  t.equal(answers, 20, 'two seconds of all');
  t.equal(network.server.counters.rate_limited, 100);
  network.pass(1);
  flood('2001:db8:1:200::1', 30);
  flood('2001:db8:1:2ff::1', 30);
  await settled();
  t.equal(answers, 30);
});

t.test('datagrams outside the classes of RFC 7983 pass neither way', async (t) => {
  const network = new MemoryServer({ relayAllow: ['203.0.113.0/24', '127.0.0.1:9'] });
  t.same(network.warnings, [{ entries: ['127.0.0.1:9'] }]);
  const client = network.client();
  await client.allocate();
  await client.bindChannel(0x4000, peer);
  let passing = 0;
  for (let first = 0; first < 256; first++) {
    client.sendChannel(0x4000, Buffer.of(first, 1, 2));
    client.sendTo(peer, Buffer.of(first, 1, 2));
    network.fromPeer(client.relayed, peer, Buffer.of(first, 1, 2));
    if (first < 4 || (first > 19 && first < 80) || (first > 127 && first < 192)) passing++;
  }
  network.fromPeer(client.relayed, peer, Buffer.of());
  t.equal(passing, 128);
  t.equal(network.sent.length, 2 * passing);
  t.equal(client.received.length, passing);
  t.equal(network.server.counters.dropped_class, 3 * 128 + 1);
  // A peer that the operator named by address and port is no part of this system.
  const exact = { address: '127.0.0.1', port: 9 };
  t.equal((await client.permit(exact)).code, null);
  client.sendTo(exact, Buffer.of(0xf0));
  network.fromPeer(client.relayed, exact, Buffer.of(0xf0));
  t.match(network.sent.at(-1), { to: exact, data: Buffer.of(0xf0) });
  t.same(client.received.at(-1)?.data, Buffer.of(0xf0));
  client.sendTo({ ...exact, port: 10 }, packet('no'));
  t.equal(network.server.counters.dropped_peer_refused, 1);
});

t.test('the short cut to the SFU in this process', async (t) => {
  const network = new MemoryServer({ relayAllow: [] }, { sfuHere: true });
  const sfu = { address: '198.51.100.7', port: 443 };
  const client = network.client();
  await client.allocate();
  t.equal(network.sockets.size, 0, 'no relay socket');
  t.equal((await client.permit(sfu)).code, null);
  t.equal((await client.permit(peer)).code, 403);
  client.sendTo(sfu, packet('one'));
  t.match(network.atSfu[0]?.path, {
    kind: 'turn-udp',
    reliable: false,
    ordered: false,
    remote: client.relayed,
  });
  const path = network.atSfu[0]?.path;
  t.ok(path?.send(packet('two'), {} as never));
  t.match(client.received, [{ channel: null, peer: sfu, data: packet('two') }]);
  t.equal((await client.bindChannel(0x4abc, sfu)).code, null);
  client.sendChannel(0x4abc, packet('three'));
  t.equal(network.atSfu[1]?.path, path, 'the same path');
  t.ok(path?.send(packet('four'), {} as never));
  t.match(client.received[1], { channel: 0x4abc, data: packet('four') });
  t.notOk(path?.send(Buffer.of(0xf0), {} as never), 'no control frames');
  client.sendTo({ ...sfu, port: 444 }, packet('not its port'));
  t.equal(network.atSfu.length, 2);
  network.pass(301);
  t.notOk(path?.send(packet('no permission'), {} as never));
  await client.permit(sfu);
  t.ok(path?.send(packet('five'), {} as never));
  path?.close(0, '');
  t.notOk(path?.send(packet('closed'), {} as never));
  client.sendChannel(0x4abc, packet('six'));
  t.not(network.atSfu[2]?.path, path, 'a closed path is replaced');
  await client.refresh(0);
  t.notOk(network.atSfu[2]?.path.send(packet('ended'), {} as never));
});

t.test('indications that cannot be honoured are dropped', async (t) => {
  const network = new MemoryServer();
  const client = network.client();
  await client.allocate();
  await client.permit(peer);
  client.sendTo(peer, packet('x'), (b) => b.flag(stunAttribute.DONT_FRAGMENT));
  client.sendTo(peer, packet('x'), (b) => b.flag(0x7777));
  client.raw(
    client.build(stunMethod.Send, (b) => b.attribute(stunAttribute.DATA, packet('x')), {
      signed: false,
      messageClass: 1,
    }),
  );
  client.raw(
    client.build(
      stunMethod.Send,
      (b) => {
        addXorAddress(b, stunAttribute.XOR_PEER_ADDRESS, peer);
      },
      { signed: false, messageClass: 1 },
    ),
  );
  client.sendTo(peer, packet('x'), (b) => b.u32(stunAttribute.FINGERPRINT, 1));
  client.sendTo({ ...peer, port: 0 }, packet('x'));
  t.equal(network.sent.length, 0);
  client.sendTo(peer, packet('x'), addFingerprint);
  client.sendTo(peer, packet('y'), (b) => b.flag(0xc057));
  t.equal(network.sent.length, 2);
  const stranger = network.client();
  stranger.sendTo(peer, packet('x'));
  stranger.sendChannel(0x4000, packet('x'));
  t.equal(network.server.counters.dropped_no_allocation, 2);
  t.same(network.errors, []);
});
