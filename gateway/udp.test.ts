import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { transportMeta, type Path } from '../tunnel-protocol/index.ts';
import { GatewayCounters } from './counters.ts';
import { createUdpSender, loadLibc, UdpAddress, type Libc } from './libc/index.ts';
import { addressesForUdp, localAddresses } from './local-addresses.ts';
import { RateLimiter } from './rate-limit.ts';
import { UdpPath, UdpPathTable, type UdpPort } from './udp-path.ts';
import { UdpMedia } from './udp.ts';

/** Under CI, a missing libc fails the tests of libc/. */
const ways: readonly (readonly [string, Libc | null])[] = [
  ['through libc', loadLibc()],
  ['by dgram', null],
];
const hasIpv6 = Object.values(networkInterfaces()).some((entries) => entries?.some(({ address }) => address === '::1'));

interface Received {
  readonly path: Path;
  readonly bytes: number[];
}

class Server {
  readonly counters = new GatewayCounters();
  readonly received: Received[] = [];
  bind = false;
  readonly media: UdpMedia;
  #waiting: (() => void) | null = null;

  constructor(libc: Libc | null, burst = 100) {
    this.media = new UdpMedia({
      receive: (path, datagram) => {
        if (this.bind) path.bind();
        this.received.push({ path, bytes: [...datagram.subarray(0, 4)] });
        this.#waiting?.();
      },
      traffic: this.counters.udp,
      strangers: new RateLimiter({ burst, perSecond: 0 }, 3),
      now: () => 0,
      libc,
    });
  }

  /** Datagrams that were taken or turned away. */
  get handled(): number {
    const { received, dropped } = this.counters.udp;
    return received + Object.values(dropped).reduce((sum, count) => sum + count, 0);
  }

  async seen(count: number): Promise<readonly Received[]> {
    while (this.received.length < count) await new Promise<void>((resolve) => (this.#waiting = resolve));
    return this.received;
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

async function client(t: Test, address = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  return socket;
}

async function start(t: Test, server: Server, addresses = ['127.0.0.1']): Promise<number> {
  t.teardown(() => server.media.close());
  return server.media.listen(addresses, 0);
}

const stun = Uint8Array.of(0, 1, 0, 0);
const rtp = Uint8Array.of(0x80, 96, 0, 0);

for (const [way, libc] of ways) {
  t.test(`an unknown source is heard by STUN alone, and known only once bound, ${way}`, async (t) => {
    const server = new Server(libc);
    const port = await start(t, server);
    const a = await client(t);
    a.send(rtp, port, '127.0.0.1');
    a.send(stun, port, '127.0.0.1');
    a.send(stun, port, '127.0.0.1');
    const [first, second] = await server.seen(2);
    t.not(first?.path, second?.path, 'a temporary path each time');
    t.same(first?.path.remote, { address: '127.0.0.1', port: a.address().port });
    t.match(first?.path, { kind: 'udp', reliable: false, ordered: false });
    t.equal(server.counters.udp.dropped['unknown-source'], 1);
    t.equal(server.media.boundPaths, 0);

    server.bind = true;
    a.send(stun, port, '127.0.0.1');
    await server.seen(3);
    server.bind = false;
    t.equal(server.media.boundPaths, 1);
    a.send(rtp, port, '127.0.0.1');
    const bound = (await server.seen(4)).slice(2);
    t.equal(bound[0]?.path, bound[1]?.path);

    const reply = once(a, 'message');
    t.equal(bound[0]?.path.send(Uint8Array.of(1, 2, 3), transportMeta), true);
    t.same([...((await reply)[0] as Buffer)], [1, 2, 3]);

    bound[0]?.path.unbind();
    bound[0]?.path.unbind();
    t.equal(server.media.boundPaths, 0);
    a.send(rtp, port, '127.0.0.1');
    a.send(stun, port, '127.0.0.1');
    await server.seen(5);
    t.equal(server.counters.udp.dropped['unknown-source'], 2);

    bound[0]?.path.bind();
    bound[0]?.path.close(4000, 'normal');
    t.equal(server.media.boundPaths, 0);
    t.equal(bound[0]?.path.send(Uint8Array.of(1), transportMeta), false);
    bound[0]?.path.bind();
    t.equal(server.media.boundPaths, 0, 'a closed path stays closed');
  });

  t.test(`what is not of the four classes stops at the door, bound or not, ${way}`, async (t) => {
    const server = new Server(libc);
    server.bind = true;
    const port = await start(t, server);
    const a = await client(t);
    a.send(stun, port, '127.0.0.1');
    await server.seen(1);
    for (const first of [0xf0, 0xff, 4, 19, 64, 79, 80, 127, 192, 239]) {
      a.send(Uint8Array.of(first, 0, 0), port, '127.0.0.1');
    }
    a.send(new Uint8Array(0), port, '127.0.0.1');
    a.send(new Uint8Array(2049), port, '127.0.0.1');
    for (const first of [0, 3, 20, 63, 128, 191]) a.send(Uint8Array.of(first), port, '127.0.0.1');
    const received = await server.seen(7);
    t.same(
      received.slice(1).map(({ bytes }) => bytes[0]),
      [0, 3, 20, 63, 128, 191],
    );
    const { dropped } = server.counters.udp;
    t.match(dropped, { 'control-not-allowed': 2, class: 9, oversized: 1 });
  });

  t.test(`STUN of strangers is limited per source, that of bound sources is not, ${way}`, async (t) => {
    const server = new Server(libc, 5);
    const port = await start(t, server);
    const a = await client(t);
    for (let i = 0; i < 20; i++) a.send(stun, port, '127.0.0.1');
    const marker = await client(t, '127.0.0.4');
    marker.send(stun, port, '127.0.0.1');
    await server.seen(6);
    const b = await client(t, '127.0.0.2');
    server.bind = true;
    for (let i = 0; i < 20; i++) b.send(stun, port, '127.0.0.1');
    const received = await server.seen(26);
    const from = (address: string): number => received.filter(({ path }) => path.remote.address === address).length;
    t.equal(from('127.0.0.1'), 5);
    t.equal(from('127.0.0.2'), 20);
    t.equal(server.counters.udp.dropped['rate-limited'], 15);
  });

  t.test(`a flood from many addresses leaves nothing behind, ${way}`, async (t) => {
    const server = new Server(libc, 2);
    const port = await start(t, server);
    const dtls = Uint8Array.of(22, 0xfe, 0xfd, 0, 0);
    const sources = 300;
    for (let i = 1; i <= sources; i++) {
      const source = createSocket('udp4').bind(0, `127.0.${String(1 + (i >> 8))}.${String(i & 255)}`);
      await once(source, 'listening');
      for (const datagram of [dtls, rtp, stun, stun, stun, dtls]) source.send(datagram, port, '127.0.0.1');
      // Two of them share a bucket now and then: then it is less.
      await until(() => server.handled >= 6 * i);
      source.close();
      await once(source, 'close');
    }
    t.ok(server.received.length <= 2 * sources);
    t.ok(server.received.length > 1.9 * sources);
    t.equal(server.counters.udp.dropped['unknown-source'], 3 * sources, 'DTLS and media need a path first');
    t.equal(server.counters.udp.dropped['rate-limited'], 3 * sources - server.received.length);
    t.equal(server.media.boundPaths, 0);
  });

  t.test(`each local address has its socket, and answers come from the one that was asked, ${way}`, async (t) => {
    const server = new Server(libc);
    server.bind = true;
    const addresses = ['127.0.0.1', '127.0.0.3', ...(hasIpv6 ? ['::1'] : [])];
    const port = await start(t, server, addresses);
    for (const address of addresses) {
      const a = await client(t, address);
      a.send(stun, port, address);
      const count = addresses.indexOf(address) + 1;
      const received = await server.seen(count);
      t.equal(received[count - 1]?.path.remote.address, address);
      const reply = once(a, 'message');
      received[count - 1]?.path.send(Uint8Array.of(9), transportMeta);
      const [, remote] = (await reply) as [Buffer, { address: string; port: number }];
      t.match(remote, { address, port });
    }
    t.ok(server.media.receiveBufferBytes > 0);
  });

  t.test(`ports that cannot be had, ${way}`, async (t) => {
    const server = new Server(libc);
    const port = await start(t, server);
    const other = new Server(libc);
    await t.rejects(other.media.listen(['127.0.0.1'], port), { code: 'EADDRINUSE', port });
    await t.rejects(other.media.listen(['192.0.2.1'], 0), { code: 'EADDRNOTAVAIL' });
    await t.rejects(other.media.listen([], 0), { code: 'EADDRNOTAVAIL' });
    t.ok((await other.media.listen(['192.0.2.1', '127.0.0.1'], 0)) > 0, 'an address that is gone is passed over');
    await other.media.close();
    await other.media.close();
  });

  t.test(`what a turn sends leaves at its end, in order, ${way}`, async (t) => {
    const server = new Server(libc);
    server.bind = true;
    const port = await start(t, server);
    const a = await client(t);
    a.send(stun, port, '127.0.0.1');
    const [first] = await server.seen(1);
    const heard: number[] = [];
    const all = new Promise<void>((resolve) => {
      a.on('message', (datagram) => {
        heard.push(datagram.readUInt16BE(0));
        if (heard.length === 200) resolve();
      });
    });
    for (let i = 0; i < 200; i++) {
      const datagram = Buffer.alloc(100 + (i % 3));
      datagram.writeUInt16BE(i);
      first?.path.send(datagram, transportMeta);
    }
    await all;
    t.same(
      heard,
      Array.from({ length: 200 }, (_, i) => i),
    );
    t.equal(server.counters.udp.sent, 200);
    t.equal(first?.path.send(new Uint8Array(2049), transportMeta), false);
    t.equal(server.counters.udp.dropped.oversized, 1);
  });

  t.test(`what cannot be sent is counted, ${way}`, async (t) => {
    const socket = await client(t);
    // Broadcast is forbidden to this socket.
    const to = UdpAddress.parse('udp4', '255.255.255.255', 9);
    if (to === null) throw new Error('no address');
    await new Promise<void>((resolve) => {
      const sender = createUdpSender(socket, libc, {
        onLost: (count) => {
          t.equal(count, 1);
          resolve();
        },
      });
      const traffic = new GatewayCounters().udp;
      t.equal(new UdpPath({ sender, traffic, paths: new UdpPathTable() }, to).send(rtp), true);
      t.equal(traffic.sent, 1);
    });
    const full = createUdpSender(socket, libc, { maxWaitingBytes: 10 });
    const traffic = new GatewayCounters().udp;
    const path = new UdpPath({ sender: full, traffic, paths: new UdpPathTable() }, to);
    full.close();
    t.equal(path.send(rtp), false);
    t.equal(traffic.dropped['queue-full'], 1);
  });
}

t.test('wildcards become local addresses', (t) => {
  const local = ['127.0.0.1', '192.0.2.1', '::1'];
  t.same(addressesForUdp(['0.0.0.0', '::'], local), ['127.0.0.1', '192.0.2.1', '::1']);
  t.same(addressesForUdp(['0.0.0.0'], local), ['127.0.0.1', '192.0.2.1']);
  t.same(addressesForUdp(['192.0.2.1', '::'], local), ['192.0.2.1', '127.0.0.1', '::1']);
  t.ok(localAddresses().includes('127.0.0.1'));
  t.notOk(localAddresses().some((address) => address.startsWith('fe80')));
  t.end();
});

t.test('the table of paths agrees with a map, whatever is done to it', async (t) => {
  const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
  const sender = createUdpSender(await client(t), null);
  const remote = fc.record({
    address: fc.constantFrom(...addresses),
    port: fc.constantFrom(1, 2),
  });
  const step = fc.record({ remove: fc.boolean(), remote, copy: fc.nat(1) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const paths = new UdpPathTable();
      const port: UdpPort = { sender, traffic: new GatewayCounters().udp, paths };
      const model = new Map<string, UdpPath>();
      const made = new Map<string, UdpPath>();
      for (const { remove, remote, copy } of steps) {
        const key = `${remote.address}:${String(remote.port)}`;
        const name = `${key}#${String(copy)}`;
        const to = UdpAddress.parse('udp4', remote.address, remote.port);
        if (to === null) throw new Error('no address');
        const path = made.get(name) ?? new UdpPath(port, to);
        made.set(name, path);
        if (!remove) {
          path.bind();
          model.set(key, path);
        } else {
          path.unbind();
          if (model.get(key) === path) model.delete(key);
        }
        if (paths.size !== model.size) return false;
        for (const address of addresses) {
          for (const port of [1, 2]) {
            if (paths.find(address, port) !== (model.get(`${address}:${String(port)}`) ?? null)) return false;
          }
        }
      }
      return true;
    }),
  );
});
