/** TURN on real sockets, through libc and without it. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import t, { type Test } from 'tap';
import type { Path, TransportAddress } from '../tunnel-protocol/index.ts';
import { transportMeta } from '../tunnel-protocol/index.ts';
import { createTurnCredentials } from '../turn/index.ts';
import { loadLibc, type Libc } from './libc/index.ts';
import { testCertificate } from './testing/tls-fixture.ts';
import { TurnClient } from './testing/turn-client.ts';
import { TurnService, type TurnServiceConfig } from './turn-service.ts';

const host = '127.0.0.1';
const secret = 'a secret';
const pems = testCertificate(t.testdir()).then(async ({ certFile, keyFile }) => ({
  cert: await readFile(certFile),
  key: await readFile(keyFile),
}));
const sfuAddress: TransportAddress = { address: host, port: 9 };
const channel = 0x4000;
/** Under CI, a missing libc fails the tests of libc/. */
const ways: readonly (readonly [string, Libc | null])[] = [
  ['through libc', loadLibc()],
  ['by dgram', null],
];

interface Scene {
  readonly turn: TurnService;
  readonly udpPort: number;
  readonly atSfu: { readonly path: Path; readonly data: Buffer }[];
  readonly errors: object[];
  readonly peer: UdpSocket;
}

function credentials(session = 's'): { username: string; credential: string } {
  return createTurnCredentials(secret, session, Date.now() / 1000 + 600);
}

async function scene(t: Test, libc: Libc | null, config: Partial<TurnServiceConfig> = {}): Promise<Scene> {
  const peer = createSocket('udp4');
  peer.bind(0, host);
  await once(peer, 'listening');
  const atSfu: { path: Path; data: Buffer }[] = [];
  const errors: object[] = [];
  const ignore = (): void => undefined;
  const turn = new TurnService(
    {
      secret,
      realm: 'test',
      publicAddresses: [host],
      sfuAddresses: [sfuAddress],
      ownAddresses: [host],
      relayAllow: [`${host}:${String(peer.address().port)}`],
      ...config,
    },
    {
      sfu: {
        receive: (path, datagram) => {
          atSfu.push({ path, data: Buffer.from(datagram) });
          path.send(new Uint8Array(datagram), transportMeta);
        },
      },
      libc,
      log: { info: ignore, warn: ignore, error: (fields) => errors.push(fields) },
      now: () => performance.now(),
      wallClock: Date.now,
      sessionLives: () => true,
    },
  );
  const udpPort = await turn.listenUdp([host, '127.0.0.2'], 0);
  t.teardown(async () => {
    await turn.close();
    peer.close();
  });
  return { turn, udpPort, atSfu, errors, peer };
}

async function udpClient(t: Test, port: number, session = 's', address = host): Promise<TurnClient> {
  const socket = createSocket('udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  t.teardown(() => socket.close());
  const client = new TurnClient((bytes) => {
    socket.send(bytes, port, address);
  }, credentials(session));
  socket.on('message', (datagram, remote) => {
    if (remote.address === address) client.receive(datagram);
  });
  return client;
}

/** A connection through a real listener, served by `serve`. */
async function streamClient(
  t: Test,
  kind: 'tcp' | 'tls',
  { turn }: Scene,
): Promise<{ client: TurnClient; socket: Socket; served: Socket }> {
  const accepted: Socket[] = [];
  const server =
    kind === 'tcp'
      ? createServer((socket) => {
          accepted.push(socket);
          turn.serveTcp(socket, { address: host, port: socket.remotePort ?? 0 });
        })
      : createTlsServer(await pems, (socket) => {
          accepted.push(socket);
          turn.serveTls(socket, { address: host, port: socket.remotePort ?? 0 });
        });
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = kind === 'tcp' ? connect(port, host) : connectTls({ port, host, rejectUnauthorized: false });
  t.teardown(() => {
    socket.destroy();
    server.close();
  });
  await once(socket, kind === 'tcp' ? 'connect' : 'secureConnect');
  socket.on('error', () => socket.destroy());
  const client = new TurnClient((bytes) => {
    socket.write(bytes);
  }, credentials());
  socket.on('data', (chunk: Buffer) => {
    client.receive(chunk);
  });
  while (accepted.length === 0) await turnOfLoop();
  return { client, socket, served: accepted[0] as Socket };
}

function turnOfLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turnOfLoop();
}

/** Numbered, of RTP's first byte, of sizes that join into segments and that do not. */
function numbered(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => {
    const datagram = Buffer.alloc(20 + (i % 5 === 4 ? 7 : 0), 0x80);
    datagram.writeUInt16BE(i, 2);
    return datagram;
  });
}

for (const [way, libc] of ways) {
  for (const kind of ['udp', 'tcp', 'tls'] as const) {
    t.test(`${kind} ${way}: to a peer and back, to the SFU and back`, async (t) => {
      const all = await scene(t, libc);
      const client = kind === 'udp' ? await udpClient(t, all.udpPort) : (await streamClient(t, kind, all)).client;
      t.equal(await client.allocate(), null);
      t.equal(client.relayed?.address, host);
      const peerAddress = { address: host, port: all.peer.address().port };
      t.equal(await client.bind(channel, peerAddress), null);
      const heard: Buffer[] = [];
      all.peer.on('message', (datagram, { port }) => {
        t.equal(port, client.relayed?.port);
        heard.push(datagram);
        all.peer.send(datagram, port, host);
      });
      const sent = numbered(40);
      for (const datagram of sent) client.send(channel, datagram);
      t.same(await client.arrived(sent.length), sent);
      t.same(heard, sent);

      t.equal(await client.bind(channel + 1, sfuAddress), null);
      for (const datagram of sent) client.send(channel + 1, datagram);
      t.same((await client.arrived(2 * sent.length)).slice(sent.length), sent);
      t.same(
        all.atSfu.map(({ data }) => data),
        sent,
      );
      const paths = new Set(all.atSfu.map(({ path }) => path));
      t.equal(paths.size, 1);
      t.match([...paths][0], { kind: `turn-${kind}`, remote: client.relayed });

      all.turn.endSession('s');
      t.equal(all.turn.allocations, 0);
      t.same(all.errors, []);
    });
  }

  t.test(`udp ${way}: every local address answers for itself`, async (t) => {
    const all = await scene(t, libc);
    const client = await udpClient(t, all.udpPort, 's', '127.0.0.2');
    t.equal(await client.allocate(), null);
  });

  t.test(`udp ${way}: a port that is taken, and nothing left of the attempt`, async (t) => {
    const all = await scene(t, libc);
    const other = await scene(t, libc);
    await t.rejects(other.turn.listenUdp(['127.0.0.3', host], all.udpPort), { code: 'EADDRINUSE', port: all.udpPort });
    const again = createSocket('udp4');
    again.bind(all.udpPort, '127.0.0.3');
    await once(again, 'listening');
    again.close();
  });

  t.test(`udp ${way}: no more relay ports is 508, and one that ends is free again`, async (t) => {
    const probe = createSocket('udp4').bind(0, host);
    await once(probe, 'listening');
    const { port } = probe.address();
    probe.close();
    await once(probe, 'close');
    const all = await scene(t, libc, { relayPorts: { min: port, max: port } });
    const first = await udpClient(t, all.udpPort, 'first');
    t.equal(await first.allocate(), null);
    t.equal(first.relayed?.port, port);
    t.equal(await (await udpClient(t, all.udpPort, 'second')).allocate(), 508);
    all.turn.endSession('first');
    t.equal(await (await udpClient(t, all.udpPort, 'third')).allocate(), null);
  });

  t.test(`udp ${way}: a flood of strangers leaves nothing but counts`, async (t) => {
    const all = await scene(t, libc);
    const flood = createSocket('udp4');
    flood.bind(0, '127.1.0.9');
    await once(flood, 'listening');
    t.teardown(() => flood.close());
    const binding = Buffer.alloc(20);
    binding.writeUInt16BE(1, 0);
    binding.writeUInt32BE(0x2112a442, 4);
    const { counters } = all.turn;
    const seen = (): number =>
      counters.dropped_malformed + counters.dropped_no_allocation + counters.requests + counters.dropped_oversized;
    for (let i = 0; i < 250; i++) {
      const before = seen();
      flood.send(Buffer.alloc(100, 0xff), all.udpPort, host);
      flood.send(Buffer.alloc(100, 0x40), all.udpPort, host);
      flood.send(Buffer.alloc(2049, 0x40), all.udpPort, host);
      flood.send(binding, all.udpPort, host);
      await until(() => seen() === before + 4);
    }
    t.match(counters, { dropped_malformed: 250, dropped_no_allocation: 250, dropped_oversized: 250, requests: 250 });
    t.ok(counters.rate_limited > 0, 'and from some point on, silence');
    t.equal(all.turn.allocations, 0);
    const client = await udpClient(t, all.udpPort);
    t.equal(await client.allocate(), null, 'others are served');
  });

  t.test(`tcp ${way}: a client that does not read loses datagrams, and goes on afterwards`, async (t) => {
    const all = await scene(t, libc, { limits: { streamBacklogBytes: 100_000 } });
    const { client, socket } = await streamClient(t, 'tcp', all);
    await client.allocate();
    await client.bind(channel, sfuAddress);
    client.send(channel, Buffer.alloc(4, 0x80));
    await client.arrived(1);
    const path = all.atSfu[0]?.path;
    if (path === undefined) throw new Error('no path');
    socket.pause();
    let taken = 0;
    let refused = 0;
    while (refused < 100) {
      for (let i = 0; i < 100; i++) {
        const datagram = Buffer.alloc(1000, 0x80);
        datagram.writeUInt32BE(taken, 4);
        if (path.send(datagram, transportMeta)) taken++;
        else refused++;
      }
      await turnOfLoop();
    }
    t.equal(all.turn.counters.dropped_backlog, refused);
    socket.resume();
    const received = await client.arrived(1 + taken);
    t.same(
      received.slice(1).map((datagram) => datagram.readUInt32BE(4)),
      Array.from({ length: taken }, (_, i) => i),
    );
    t.equal(path.send(Buffer.alloc(4, 0x80), transportMeta), true);
    await client.arrived(2 + taken);
  });

  for (const kind of ['tcp', 'tls'] as const) {
    t.test(`${kind} ${way}: however a connection ends, its allocation does`, async (t) => {
      const all = await scene(t, libc);
      for (const end of ['end', 'destroy', 'resetAndDestroy', 'server', 'garbage'] as const) {
        const { client, socket, served } = await streamClient(t, kind, all);
        t.equal(await client.allocate(), null);
        t.equal(all.turn.allocations, 1);
        const closed = new Promise<void>((resolve) => {
          served.once('close', () => {
            resolve();
          });
        });
        if (end === 'server') served.destroy();
        else if (end === 'garbage') socket.write('GET / HTTP/1.1\r\n\r\n');
        else if (end !== 'resetAndDestroy' || kind === 'tcp') socket[end]();
        else socket.destroy();
        await closed;
        t.equal(all.turn.allocations, 0, end);
      }
    });
  }

  t.test(`${way}: closing ends everything, and may be done twice`, async (t) => {
    const all = await scene(t, libc);
    const client = await udpClient(t, all.udpPort);
    await client.allocate();
    const { client: other, socket } = await streamClient(t, 'tcp', all);
    await other.allocate();
    t.equal(all.turn.allocations, 2);
    const closed = once(socket, 'close');
    await all.turn.close();
    await closed;
    t.equal(all.turn.allocations, 0);
    await all.turn.close();
    const again = createSocket('udp4').bind(client.relayed?.port, host);
    await once(again, 'listening');
    again.close();
  });
}

t.test('a relayed address behind a NAT, of both families', async (t) => {
  const all = await scene(t, null, { publicAddresses: ['192.0.2.1', '2001:db8::1'] });
  const client = await udpClient(t, all.udpPort);
  t.equal(await client.allocate(), null);
  t.equal(client.relayed?.address, '192.0.2.1');
});
