/** Links against servers that are not there, or not what they should be. Those that work are tried in bench/e2e/. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import { createServer as createTlsServer } from 'node:tls';
import { systemClock } from '../clock.ts';
import { selfSigned } from '../testing/certificates.ts';
import { encodeFrame } from '../../tunnel-protocol/index.ts';
import type { TurnRung } from './ice-servers.ts';
import { IceTcpLink } from './ice-tcp-link.ts';
import type { PathLink, PathLinkEvents } from './path-link.ts';
import { directRoute } from './proxy-route.ts';
import { TurnLink } from './turn-link.ts';

class Watched implements PathLinkEvents {
  readonly datagrams: string[] = [];
  readonly ended: Promise<string>;
  readonly isOpen: Promise<void>;
  opened!: () => void;
  failed!: (reason: string) => void;

  constructor() {
    this.isOpen = new Promise((resolve) => (this.opened = resolve));
    this.ended = new Promise((resolve) => (this.failed = resolve));
  }

  datagram(datagram: Uint8Array): void {
    this.datagrams.push(Buffer.from(datagram).toString('hex'));
  }
}

async function listening(t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function turnTo(t: Test, rung: TurnRung, port: number): Watched {
  const watched = new Watched();
  const link: PathLink = new TurnLink(
    {
      server: { rung, host: '127.0.0.1', port, username: 'u', credential: 'c' },
      peers: [{ address: '192.0.2.1', port: 443 }],
      trust: { rejectUnauthorized: true },
      route: directRoute,
      clock: systemClock,
    },
    watched,
  );
  t.teardown(() => {
    link.close();
  });
  t.notOk(link.send(Uint8Array.of(0x80)), 'not open yet');
  return watched;
}

t.test('ICE-TCP: frames both ways, those of one task in one write', async (t) => {
  const server = createServer();
  const port = await listening(t, server);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const watched = new Watched();
  const link = new IceTcpLink({ address: '127.0.0.1', port }, undefined, watched);
  t.notOk(link.send(Uint8Array.of(1)), 'not open yet');
  const [socket] = await accepted;
  await watched.isOpen;
  const datagrams = Array.from({ length: 8 }, (_, i) => new Uint8Array(100).fill(i + 1));
  for (const datagram of datagrams) t.ok(link.send(datagram));
  t.notOk(link.send(new Uint8Array(3000)), 'no frame takes it');
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  t.same(chunk, Buffer.concat(datagrams.map(encodeFrame)));
  const answer = Buffer.concat([encodeFrame(Uint8Array.of(1, 2)), encodeFrame(Uint8Array.of(3))]);
  socket.write(answer.subarray(0, 3));
  socket.end(answer.subarray(3));
  t.equal(await watched.ended, 'closed by the server');
  t.same(watched.datagrams, ['0102', '03']);
  t.notOk(link.send(Uint8Array.of(1)));
  link.close();
});

t.test('ICE-TCP: a reader that stops gets no more media, and closing does not wait for it', async (t) => {
  const server = createServer();
  const port = await listening(t, server);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const watched = new Watched();
  const link = new IceTcpLink({ address: '127.0.0.1', port }, undefined, watched);
  const [socket] = await accepted;
  socket.pause();
  await watched.isOpen;
  const media = new Uint8Array(1200).fill(0x80);
  let sent = 0;
  while (sent < 100_000 && link.send(media.slice())) {
    sent += 1;
    if (sent % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(sent < 100_000, `${String(sent)} datagrams`);
  t.ok(link.send(new Uint8Array(100)), 'a check still goes');
  link.close();
  socket.on('error', () => undefined);
  socket.resume();
  await once(socket, 'close');
});

t.test('ICE-TCP: nobody there, and nonsense', async (t) => {
  const refused = new Watched();
  new IceTcpLink({ address: '127.0.0.1', port: await freePort() }, undefined, refused);
  t.equal(await refused.ended, 'ECONNREFUSED');
  const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  const nonsense = new Watched();
  new IceTcpLink({ address: '127.0.0.1', port: await listening(t, server) }, undefined, nonsense);
  t.equal(await nonsense.ended, 'oversized-frame');
});

t.test('TURN: nobody there, nonsense, and a certificate that is not trusted', async (t) => {
  t.equal(await turnTo(t, 'turn-tcp', await freePort()).ended, 'ECONNREFUSED');
  const udp = createSocket('udp4').bind(0, '127.0.0.1');
  await once(udp, 'listening');
  const { port } = udp.address();
  udp.close();
  await once(udp, 'close');
  t.equal(await turnTo(t, 'turn-udp', port).ended, 'ECONNREFUSED', 'ICMP says so at once');
  const http = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  t.equal(await turnTo(t, 'turn-tcp', await listening(t, http)).ended, 'the server speaks no TURN');
  const tls = createTlsServer(await selfSigned());
  tls.on('tlsClientError', () => undefined);
  t.equal(await turnTo(t, 'turn-tls', await listening(t, tls)).ended, 'certificate-untrusted');
});

t.test('closed before it is open: no event', async (t) => {
  const server = createServer((socket) => socket.on('error', () => undefined));
  const port = await listening(t, server);
  for (const rung of ['turn-udp', 'turn-tcp'] as const) {
    const watched = new Watched();
    const server = { rung, host: '127.0.0.1', port, username: 'u', credential: 'c' };
    const peers = [{ address: '192.0.2.1', port: 443 }];
    const link = new TurnLink(
      { server, peers, trust: { rejectUnauthorized: true }, route: directRoute, clock: systemClock },
      watched,
    );
    link.close();
    link.close();
    const silence = new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    await Promise.race([
      silence,
      watched.isOpen.then(() => t.fail('opened')),
      watched.ended.then(() => t.fail('failed')),
    ]);
  }
});
