/** Every kind of connection, by every way of looking at it; long because each variant passes the same list. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { get as getTls } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls, createSecureContext, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import t, { type Test } from 'tap';
import WebSocket from 'ws';
import { loadLibc, socketOption } from '../libc/index.ts';
import { testCertificate } from '../testing/tls-fixture.ts';
import {
  allocateRequest,
  certificatesOf,
  Client,
  createUwsServers,
  createWorld,
  iceFrame,
  openDescriptors,
  stunRequest,
  type UwsServers,
  type World,
  type WorldOptions,
} from './fixture.ts';
import { captureHello } from './testing-hello.ts';
import type { DemuxConfig } from './types.ts';

const folder = t.testdir();
const files = await testCertificate(folder);
const native = await import('uWebSockets.js').catch(() => null);
const libc = loadLibc();

interface Variant extends Omit<WorldOptions, 'files'> {
  readonly name: string;
  readonly http: string;
  readonly https: string;
}

const servers = native === null ? null : createUwsServers(native, files, true);
const spliced = native === null ? null : servers;
const unspliced = servers === null ? null : withoutSplice(servers);
t.teardown(() => servers?.close());

const variants: readonly Variant[] = [
  ...(libc === null || native === null
    ? []
    : [
        {
          name: 'peek, uws',
          http: 'uws 127.0.0.1',
          https: 'uws-tls 127.0.0.1',
          uws: unspliced,
          config: { method: 'peek' as const },
        },
        {
          name: 'peek-public, uws',
          http: 'uws 127.0.0.1',
          https: 'uws-tls 127.0.0.1',
          uws: unspliced,
          config: { method: 'peek-public' as const },
        },
      ]),
  ...(libc === null ? [] : [{ name: 'peek, node', http: 'node 127.0.0.1', https: 'node 127.0.0.1', uws: null }]),
  { name: 'read, node', http: 'node 127.0.0.1', https: 'node 127.0.0.1', uws: unspliced, libc: null },
  ...(native === null
    ? []
    : [{ name: 'read, spliced', http: 'uws 127.64.', https: 'uws-tls 127.64.', uws: spliced, libc: null }]),
];

for (const variant of variants) {
  t.test(variant.name, (t) => {
    const world = async (t: Test, config: Partial<DemuxConfig> = {}): Promise<World> => {
      const made = await createWorld({ ...variant, files, config: { ...variant.config, ...config } });
      t.teardown(() => made.close());
      return made;
    };

    t.test('each kind is served, and told who it is', async (t) => {
      const { port, demux } = await world(t);
      t.match(await plainGet(port), variant.http);
      t.match(await tlsGet(port, { ALPNProtocols: ['http/1.1'] }), variant.https);
      t.match(await tlsGet(port, { ALPNProtocols: ['http/1.0'] }), variant.https);
      t.equal(await tlsGet(port, {}), 'node 127.0.0.1', 'no ALPN');
      t.equal(await h2Get(port), 'h2 127.0.0.1');
      const stun = new Client(port);
      await once(stun.socket, 'connect');
      const own = `127.0.0.1:${String(stun.socket.localPort)} 127.0.0.1`;
      t.equal(await stun.exchange(stunRequest), `turn ${own} ${stunRequest.toString('hex')}`);
      const ice = new Client(port);
      await once(ice.socket, 'connect');
      const iceOwn = `127.0.0.1:${String(ice.socket.localPort)} 127.0.0.1`;
      t.equal(await ice.exchange(iceFrame), `ice ${iceOwn} ${iceFrame.toString('hex')}`);
      for (const alpn of [undefined, ['stun.turn'], ['http/1.1', 'stun.turn', 'stun.nat-discovery']]) {
        const options = alpn === undefined ? {} : { ALPNProtocols: alpn };
        const answer = await tlsExchange(port, options, [allocateRequest]);
        t.match(answer, /^turn-tls 127\.0\.0\.1:\d+ 127\.0\.0\.1 /);
        t.ok(answer.endsWith(allocateRequest.toString('hex')));
      }
      t.match(demux.counters.kinds, { 'tls-h2': 1, 'turn-tls': 3, 'tls-http1-late': 1, 'turn-tcp': 1, 'ice-tcp': 1 });
      t.match(demux.counters.kinds, { 'plain-http': 1, 'tls-http1': 2, 'tls-other': 4 });
      t.equal(demux.openings, 0);
    });

    if (!variant.name.includes('public'))
      t.test('openssl, with its ways of offering', async (t) => {
        const { port } = await world(t);
        const request = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
        t.match(await openssl(port, ['-alpn', 'http/1.1'], request), variant.https);
        t.match(await openssl(port, ['-alpn', 'foo,http/1.1'], request), variant.https);
        t.match(await openssl(port, [], request), 'node 127.0.0.1');
        t.match(await openssl(port, ['-tls1_2'], request), 'node 127.0.0.1');
        t.match(await openssl(port, ['-alpn', 'stun.turn', '-noservername'], stunRequest), 'turn-tls 127.0.0.1');
        t.match(await openssl(port, ['-alpn', 'h2'], 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 'ALPN protocol: h2');
        t.match(await openssl(port, ['-alpn', 'foo'], request), /no.application.protocol/i);
      });

    if (variant.http.startsWith('uws'))
      t.test('WebSockets', async (t) => {
        const { port } = await world(t);
        for (const url of [`ws://127.0.0.1:${String(port)}/ws`, `wss://127.0.0.1:${String(port)}/ws`]) {
          const ws = new WebSocket(url, { rejectUnauthorized: false, ...{ ALPNProtocols: ['http/1.1'] } });
          await once(ws, 'open');
          ws.send('hi');
          const [message] = (await once(ws, 'message')) as [Buffer];
          t.equal(message.toString(), 'hi');
          ws.close();
          await once(ws, 'close');
        }
      });

    t.test('in pieces of one byte', async (t) => {
      const { port, demux } = await world(t);
      const request = Buffer.from('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
      t.match(await dribble(port, request), variant.http);
      t.match(await dribble(port, stunRequest), /^turn /);
      t.match(await dribble(port, iceFrame), /^ice /);
      for (const [alpn, expected] of [
        [['http/1.1'], variant.https],
        [undefined, 'node 127.0.0.1'],
      ] as const) {
        t.match(await throughSlicer(port, 1, alpn), expected);
      }
      t.equal(demux.openings, 0);
    });

    t.test('a hello over several records', async (t) => {
      const { port, demux } = await world(t);
      const hello = await captureHello({ ALPNProtocols: ['h2', 'http/1.1'] });
      const body = hello.subarray(5);
      const parts: Buffer[] = [];
      for (let at = 0; at < body.length; at += 100) {
        const part = body.subarray(at, at + 100);
        parts.push(Buffer.from([22, 3, 1, part.length >>> 8, part.length & 255]), part);
      }
      const client = new Client(port);
      client.socket.write(Buffer.concat(parts));
      const [first] = (await once(client.socket, 'data')) as [Buffer];
      t.equal(first[0], 22, 'a ServerHello');
      t.equal(demux.counters.kinds['tls-h2'], 1);
      client.socket.destroy();
    });

    t.test('garbage is closed at once', async (t) => {
      const { port, demux } = await world(t);
      const samples = [
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        'SSH-2.0-OpenSSH_9.2\r\n',
        'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n',
        'get / HTTP/1.1\r\n',
        '\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08',
        '\x00\x01\x00\x00\x21\x12\xa4\x43\x00\x00\x00\x00',
        '\xff'.repeat(3000),
        '\x40\x00\x00\x04abcd',
      ];
      for (const sample of samples) {
        const client = new Client(port);
        t.equal(await client.exchange(Buffer.from(sample, 'latin1')), '', JSON.stringify(sample.slice(0, 12)));
      }
      t.equal(demux.counters.refused.unknown, samples.length);
      const alert = await new Client(port).exchange(Buffer.from('160301000501000001ff', 'hex'));
      t.equal(alert.charCodeAt(0), 21, 'TLS that is none gets an alert');
      t.equal(demux.nodeConnections, 0);
    });

    t.test('slow and silent openers are cut', async (t) => {
      const { port, demux } = await world(t, { openingTimeoutMs: 150 });
      const hello = await captureHello({});
      const stalled = ['\x00', 'GET', hello.subarray(0, 200).toString('latin1'), hello.toString('latin1')].map(
        (bytes) => {
          const client = new Client(port);
          client.socket.write(Buffer.from(bytes, 'latin1'));
          return client.ended;
        },
      );
      const secured = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
      secured.on('error', () => undefined).resume();
      await Promise.all([...stalled, once(secured, 'close')]);
      t.equal(demux.counters.refused['timed-out'], 5);
      t.equal(demux.openings, 0);
      await until(() => demux.nodeConnections === 0);
    });

    t.test('openers are bounded, per address and in all', async (t) => {
      const { port, demux } = await world(t, { maxOpenings: 3, maxOpeningsPerClient: 2 });
      const begin = async (from: string): Promise<Client> => {
        const client = new Client(port, '127.0.0.1', from);
        client.socket.write('G');
        await once(client.socket, 'connect');
        return client;
      };
      const one = await begin('127.0.0.1');
      const two = await begin('127.0.0.1');
      await until(() => demux.openings === 2);
      t.equal(await (await begin('127.0.0.1')).exchange(), '', 'a third of the same address is refused');
      t.equal(demux.counters.refused['crowded-client'], 1);
      await begin('127.0.0.2');
      await until(() => demux.openings === 3);
      const five = await begin('127.0.0.3');
      await one.ended;
      t.equal(demux.counters.refused.crowded, 1, 'the oldest made room');
      t.equal(demux.openings, 3);
      for (const client of [two, five]) {
        client.socket.write('ET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
        t.match((await client.ended).bytes.toString(), variant.http.replace('127.0.0.1', '127.0.'));
      }
    });

    t.test('connections are bounded, per client and in all', async (t) => {
      const { port, demux } = await world(t, { maxConnections: 4, maxConnectionsPerClient: 2 });
      const keep = async (from: string): Promise<Client> => {
        const client = new Client(port, '127.0.0.1', from);
        client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
        await Promise.race([new Promise((resolve) => client.socket.once('data', resolve)), client.ended]);
        return client;
      };
      const open = (): number => demux.nodeConnections + demux.adoptedConnections;
      const kept = [await keep('127.0.0.1'), await keep('127.0.0.1')];
      t.equal(open(), 2);
      await (
        await keep('127.0.0.1')
      ).ended;
      t.equal(demux.counters.refused['full-client'], 1, 'a third of the same client is refused');
      kept.push(await keep('127.0.0.2'), await keep('127.0.0.3'));
      await (
        await keep('127.0.0.4')
      ).ended;
      t.equal(demux.counters.refused.full, 1);
      for (const { socket } of kept) socket.destroy();
      await Promise.all(kept.map(({ ended }) => ended));
      // An end is noticed when room is needed, though not looked for at every refusal.
      let again = await keep('127.0.0.4');
      while (again.socket.readyState !== 'open') again = await keep('127.0.0.4');
      t.equal(again.socket.readyState, 'open');
    });

    if (variant.name.startsWith('peek') && variant.http.startsWith('uws'))
      t.test('what uWebSockets.js got is cut when nothing more comes', async (t) => {
        const { port, demux } = await world(t, { openingTimeoutMs: 2000 });
        const hello = await captureHello({ ALPNProtocols: ['http/1.1'] });
        const silent = [hello, Buffer.from('POST / HTTP/1.1\r\nhost: a\r\n')].map((bytes) => {
          const client = new Client(port);
          client.socket.write(bytes);
          return client;
        });
        const waiting = new Client(port);
        waiting.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
        const secured = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
        await once(secured, 'secureConnect');
        await until(() => demux.counters.adopted === 4);
        await Promise.all(silent.map(({ ended }) => ended));
        t.equal(demux.counters.refused['timed-out'], 2);
        t.equal(waiting.socket.readyState, 'open', 'a whole request may wait');
        t.equal(secured.readyState, 'open', 'so may who has gone on');
        for (const socket of [waiting.socket, secured]) socket.destroy();
        await until(() => demux.adoptedConnections === 0);
      });

    t.test('a load balancer speaks for its clients', async (t) => {
      const { port, demux } = await world(t, { proxySenders: ['127.0.0.2/32'] });
      const v1 = Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.2 4711 443\r\n');
      const v2 = proxyV2('2001:db8::7', 4712);
      const local = Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex');
      const request = Buffer.from('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
      const through = (...pieces: Buffer[]): Promise<string> =>
        new Client(port, '127.0.0.1', '127.0.0.2').exchange(...pieces);
      t.match(await through(v1, request), /node 192\.0\.2\.7$/);
      t.match(await through(Buffer.concat([v1, stunRequest])), /^turn 192\.0\.2\.7:4711 192\.0\.2\.7 0001/);
      t.match(await through(Buffer.concat([v2, iceFrame])), /^ice 2001:db8::7:4712 2001:db8::7 0014/);
      t.match(await through(Buffer.concat([local, stunRequest])), /^turn 127\.0\.0\.2:/);
      t.equal(await through(request), '', 'without a header');
      t.equal(demux.counters.refused['proxy-header'], 1);
      t.match(await dribble(port, Buffer.concat([v2, stunRequest]), '127.0.0.2'), /^turn 2001:db8::7/);
      const answered = await tlsBehind(port, v1, ['h2'], async (socket) => h2Over(socket));
      t.equal(answered, 'h2 192.0.2.7');
      const get1 = async (socket: TLSSocket): Promise<string> => exchangeOn(socket, [request]);
      t.match(await tlsBehind(port, v2, ['http/1.1'], get1), /node 2001:db8::7$/);
      t.match(await tlsBehind(port, v1, [], get1), /node 192\.0\.2\.7$/);
      const turn = async (socket: TLSSocket): Promise<string> => exchangeOn(socket, [stunRequest]);
      t.match(await tlsBehind(port, v1, [], turn), /^turn-tls 192\.0\.2\.7:4711 192\.0\.2\.7 /);
      t.equal(demux.counters.refused.unknown, 0);
    });

    if (variant.name === 'peek, node')
      t.test('a new certificate, and tickets given before', async (t) => {
        const { port, demux } = await world(t);
        const session = await new Promise<Buffer>((resolve) => {
          const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
          socket.once('session', (session) => {
            resolve(session);
            socket.destroy();
          });
          socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
        });
        const fresh = await testCertificate(`${folder}/fresh`);
        const [key, cert] = [readFileSync(fresh.keyFile), readFileSync(fresh.certFile)];
        demux.setCertificates({ key, cert }, certificatesOf(cert, key));
        const resumed = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, session });
        await once(resumed, 'secureConnect');
        t.equal(resumed.isSessionReused(), true);
        resumed.destroy();
        const whole = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
        await once(whole, 'secureConnect');
        t.not(whole.getPeerX509Certificate()?.toString(), readFileSync(files.certFile, 'utf8'));
        whole.destroy();
        t.throws(() => {
          demux.setCertificates(
            { key: 'none', cert: 'none' },
            certificatesOf(Buffer.from('none'), Buffer.from('none')),
          );
        });
        t.match(await tlsGet(port, {}), 'node');
      });

    t.test('resets in every stage, and no descriptor is left', async (t) => {
      const { port, demux, http1 } = await world(t);
      const hello = await captureHello({ ALPNProtocols: ['http/1.1'] });
      const helloH2 = await captureHello({ ALPNProtocols: ['h2'] });
      const helloOther = await captureHello({});
      const request = Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
      const beginnings = [request, stunRequest, iceFrame, hello, helloH2, helloOther];
      const all: Buffer[] = [Buffer.alloc(0), Buffer.from('zzz')];
      for (const bytes of beginnings) all.push(bytes.subarray(0, 1), bytes.subarray(0, bytes.length >> 1), bytes);
      await plainGet(port);
      await tlsGet(port, {});
      await h2Get(port);
      await until(() => demux.nodeConnections === 0);
      const before = openDescriptors();
      for (let round = 0; round < 10; round++) {
        await Promise.all(
          all.map(async (bytes, i) => {
            const client = new Client(port);
            await once(client.socket, 'connect');
            if (bytes.length > 0) await new Promise((resolve) => client.socket.write(bytes, resolve));
            // Some at once, some after the server has had a turn.
            if ((round + i) % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
            if (round % 3 === 2) client.socket.destroy();
            else client.socket.resetAndDestroy();
            await client.ended;
          }),
        );
        const { socket } = new Client(port);
        const secured = connectTls({ socket, rejectUnauthorized: false });
        secured.on('error', () => undefined);
        await once(secured, 'secureConnect');
        if (round % 2 === 0) secured.write(stunRequest.subarray(0, 5));
        socket.resetAndDestroy();
      }
      t.match(await plainGet(port), variant.http);
      http1.closeIdleConnections();
      await until(() => demux.openings === 0 && demux.nodeConnections === 0);
      await until(() => openDescriptors() <= before);
      t.ok(openDescriptors() <= before, `${String(before)} before, ${String(openDescriptors())} after`);
    });

    t.test('close ends what is open', async (t) => {
      const { port, demux } = await world(t);
      const opening = new Client(port);
      opening.socket.write('G');
      const handed = new Client(port);
      handed.socket.write(stunRequest.subarray(0, 4));
      const secured = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
      secured.on('error', () => undefined);
      await once(secured, 'secureConnect');
      await until(() => demux.openings === 3);
      demux.stopListening();
      demux.stopListening();
      t.equal((await new Client(port).ended).code, 'ECONNREFUSED');
      const closed = once(secured, 'close');
      await demux.close();
      await demux.close();
      await Promise.all([opening.ended, handed.ended, closed]);
      t.equal(demux.openings, 0);
    });

    if (!variant.http.startsWith('uws'))
      t.test(
        'headers that do not come are waited for by the HTTP server',

        async (t) => {
          const { port } = await world(t);
          const client = new Client(port);
          t.match(await client.exchange(Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n')), /^HTTP\/1.1 408 /);
        },
      );

    t.end();
  });
}

t.test(
  'what a connection inherits',
  { skip: libc === null && process.env['CI'] !== 'true' && 'no libc' },
  async (t) => {
    if (libc === null) return;
    const world = await createWorld({ files, config: { notSentLowWaterBytes: 30_000 } });
    t.teardown(() => world.close());
    const fds: number[] = [];
    world.h2.on('session', (session) => {
      const { _handle: handle } = (session.socket as unknown as { _parent: { _handle: { fd: number } } })._parent;
      fds.push(
        libc.getOption(handle.fd, socketOption.tcpNotSentLowWater),
        libc.getOption(handle.fd, socketOption.tcpNoDelay),
      );
    });
    await h2Get(world.port);
    t.same(fds, [30_000, 1]);
  },
);

t.test('misuse', async (t) => {
  await t.rejects(createWorld({ files, libc: null, config: { method: 'peek' } }), /needs libc/);
  await t.rejects(createWorld({ files, config: { proxySenders: ['10.0.0.0/99'] } }), /10\.0\.0\.0\/99/);
  const world = await createWorld({ files });
  t.teardown(() => world.close());
  await t.rejects(world.demux.listen(world.port, '127.0.0.1'), { code: 'EADDRINUSE' });
});

function withoutSplice(servers: UwsServers): UwsServers {
  const { splice, ...rest } = servers;
  return splice === undefined ? servers : rest;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function textOf(reply: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of reply) text += String(chunk);
  return text;
}

function plainGet(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, agent: false }, (reply) => void textOf(reply).then(resolve, reject)).on(
      'error',
      reject,
    );
  });
}

function tlsGet(port: number, options: ConnectionOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    // Node's https client offers http/1.1 by itself, unless it is given a connection.
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
    socket.on('error', reject);
    getTls(
      { host: '127.0.0.1', port, createConnection: () => socket },
      (reply) => void textOf(reply).then(resolve, reject),
    )
      .on('error', reject)
      .on('close', () => socket.destroy());
  });
}

function h2Get(port: number): Promise<string> {
  return h2Over(connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'] }));
}

async function h2Over(socket: TLSSocket): Promise<string> {
  const session = connectHttp2('https://localhost', { createConnection: () => socket });
  const stream = session.request({ ':path': '/' });
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  session.close();
  await once(session, 'close');
  return text;
}

function tlsExchange(port: number, options: ConnectionOptions, pieces: readonly Uint8Array[]): Promise<string> {
  return exchangeOn(connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options }), pieces);
}

async function exchangeOn(socket: TLSSocket, pieces: readonly Uint8Array[]): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  for (const piece of pieces) socket.write(piece);
  await once(socket, 'end');
  socket.end();
  return text;
}

/** One byte per segment: the next is written when the one before has been taken, and the server has had a turn. */
async function dribble(port: number, bytes: Buffer, from = '127.0.0.1'): Promise<string> {
  const client = new Client(port, '127.0.0.1', from);
  await once(client.socket, 'connect');
  for (const byte of bytes) {
    await new Promise((resolve) => client.socket.write(Uint8Array.of(byte), resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return (await client.ended).bytes.toString('latin1');
}

/** A TLS client whose first flight goes out in slices. */
async function throughSlicer(port: number, size: number, alpn: readonly string[] | undefined): Promise<string> {
  const { createServer } = await import('node:net');
  const slicer = createServer({ noDelay: true }, (socket) => {
    const outer = connectTcp({ port, host: '127.0.0.1', noDelay: true });
    for (const end of [socket, outer]) end.on('error', () => undefined);
    socket.on('close', () => outer.destroy());
    outer.on('close', () => socket.destroy());
    outer.pipe(socket);
    socket.once('data', (hello: Buffer) => {
      socket.pause();
      void (async () => {
        for (let at = 0; at < hello.length; at += size) {
          await new Promise((resolve) => outer.write(hello.subarray(at, at + size), resolve));
        }
        socket.pipe(outer);
      })();
    });
  });
  slicer.listen(0, '127.0.0.1');
  await once(slicer, 'listening');
  const address = slicer.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  try {
    return await tlsGet(address.port, alpn === undefined ? {} : { ALPNProtocols: [...alpn] });
  } finally {
    slicer.close();
  }
}

function proxyV2(address: string, port: number): Buffer {
  const groups = [0x2001, 0xdb8, 0, 0, 0, 0, 0, Number.parseInt(address.split('::')[1] ?? '0', 16)];
  const source = Buffer.alloc(16);
  groups.forEach((group, i) => source.writeUInt16BE(group, 2 * i));
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(port, 0);
  const extension = Buffer.from('0400020000', 'hex');
  const length = Buffer.from([0, 36 + extension.length]);
  const start = Buffer.from('0d0a0d0a000d0a515549540a2121', 'hex');
  return Buffer.concat([start, length, source, Buffer.alloc(16), ports, extension]);
}

/** TLS after a PROXY header, from the load balancer's address. */
async function tlsBehind<T>(
  port: number,
  header: Buffer,
  alpn: string[],
  use: (socket: TLSSocket) => Promise<T>,
): Promise<T> {
  const raw = connectTcp({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  await once(raw, 'connect');
  raw.write(header);
  const options = alpn.length === 0 ? {} : { ALPNProtocols: alpn };
  const socket = connectTls({
    socket: raw,
    rejectUnauthorized: false,
    secureContext: createSecureContext(),
    ...options,
  });
  return use(socket);
}

/** All that `openssl s_client` prints. */
async function openssl(port: number, options: readonly string[], input: string | Uint8Array): Promise<string> {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${String(port)}`, '-ign_eof', ...options]);
  let text = '';
  const collect = (chunk: Buffer): void => {
    text += chunk.toString('latin1');
    if (text.includes('ALPN protocol: h2')) child.kill();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  child.stdin.on('error', () => undefined);
  child.stdin.write(input);
  await once(child, 'close');
  return text;
}
