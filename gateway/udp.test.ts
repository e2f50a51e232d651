import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { transportMeta, type Path } from '../tunnel-protocol/index.ts';
import { GatewayCounters } from './counters.ts';
import { addressesForUdp, localAddresses } from './local-addresses.ts';
import { RateLimiter } from './rate-limit.ts';
import { UdpPath, UdpPathTable, type UdpPort } from './udp-path.ts';
import { UdpMedia } from './udp.ts';

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

  constructor(burst = 100) {
    this.media = new UdpMedia({
      receive: (path, datagram) => {
        if (this.bind) path.bind();
        this.received.push({ path, bytes: [...datagram.subarray(0, 4)] });
        this.#waiting?.();
      },
      traffic: this.counters.udp,
      strangers: new RateLimiter({ burst, perSecond: 0 }, 3),
      now: () => 0,
    });
  }

  async seen(count: number): Promise<readonly Received[]> {
    while (this.received.length < count) await new Promise<void>((resolve) => (this.#waiting = resolve));
    return this.received;
  }
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

t.test('an unknown source is heard by STUN alone, and known only once bound', async (t) => {
  const server = new Server();
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

t.test('what is not of the four classes stops at the door, bound or not', async (t) => {
  const server = new Server();
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

t.test('STUN of strangers is limited per source, that of bound sources is not', async (t) => {
  const server = new Server(5);
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

t.test('each local address has its socket, and answers come from the one that was asked', async (t) => {
  const server = new Server();
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

t.test('ports that cannot be had', async (t) => {
  const server = new Server();
  const port = await start(t, server);
  const other = new Server();
  await t.rejects(other.media.listen(['127.0.0.1'], port), { code: 'EADDRINUSE', port });
  await t.rejects(other.media.listen(['192.0.2.1'], 0), { code: 'EADDRNOTAVAIL' });
  await t.rejects(other.media.listen([], 0), { code: 'EADDRNOTAVAIL' });
  t.ok((await other.media.listen(['192.0.2.1', '127.0.0.1'], 0)) > 0, 'an address that is gone is passed over');
  await other.media.close();
  await other.media.close();
});

t.test('wildcards become local addresses', (t) => {
  const local = ['127.0.0.1', '192.0.2.1', '::1'];
  t.same(addressesForUdp(['0.0.0.0', '::'], local), ['127.0.0.1', '192.0.2.1', '::1']);
  t.same(addressesForUdp(['0.0.0.0'], local), ['127.0.0.1', '192.0.2.1']);
  t.same(addressesForUdp(['192.0.2.1', '::'], local), ['192.0.2.1', '127.0.0.1', '::1']);
  t.ok(localAddresses().includes('127.0.0.1'));
  t.notOk(localAddresses().some((address) => address.startsWith('fe80')));
  t.end();
});

t.test('the table of paths agrees with a map, whatever is done to it', (t) => {
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  const remote = fc.record({
    address: fc.constantFrom('a', 'b', 'c', 'd'),
    port: fc.constantFrom(1, 2),
  });
  const step = fc.record({ remove: fc.boolean(), remote, copy: fc.nat(1) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const paths = new UdpPathTable();
      const port: UdpPort = { socket, traffic: new GatewayCounters().udp, sent: () => undefined, paths };
      const model = new Map<string, UdpPath>();
      const made = new Map<string, UdpPath>();
      for (const { remove, remote, copy } of steps) {
        const key = `${remote.address}:${String(remote.port)}`;
        const name = `${key}#${String(copy)}`;
        const path = made.get(name) ?? new UdpPath(port, remote);
        made.set(name, path);
        if (!remove) {
          path.bind();
          model.set(key, path);
        } else {
          path.unbind();
          if (model.get(key) === path) model.delete(key);
        }
        if (paths.size !== model.size) return false;
        for (const address of ['a', 'b', 'c', 'd']) {
          for (const port of [1, 2]) {
            if (paths.find(address, port) !== (model.get(`${address}:${String(port)}`) ?? null)) return false;
          }
        }
      }
      return true;
    }),
  );
  t.end();
});
