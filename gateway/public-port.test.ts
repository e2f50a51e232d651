import { once } from 'node:events';
import { spawn } from 'node:child_process';
import type { X509Certificate } from 'node:crypto';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import path from 'node:path';
import { TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import WebSocket from 'ws';
import type { CertificateFiles } from './certificates.ts';
import { askHttp1, dial, httpWays, proxyHeaderV1, proxyHeaderV2, type Dial } from './testing/dial.ts';
import { echoApplication, type Echo } from './testing/echo-application.ts';
import { openWebSocket, TestSocket } from './testing/https-client.ts';
import { engineVariants, startTestPort, type EngineVariant, type TestPort } from './testing/port-fixture.ts';
import { testCertificate } from './testing/tls-fixture.ts';
import { selfSignedCertificate } from './tls-certificate.ts';

const folder = t.testdir({ second: {}, third: {} });
const files = await testCertificate(folder);
const variants = await engineVariants();
/** Of a STUN binding request, as far as it takes to tell it. */
const stun = Buffer.from('000100002112a442000102030405060708090a0b', 'hex');
const iceFrame = Buffer.concat([Buffer.from([0, stun.length]), stun]);

function start(t: Test, variant: EngineVariant, pairs: readonly CertificateFiles[] = [files]): Promise<TestPort> {
  const { engine, libc } = variant;
  const demux = { proxySenders: ['127.0.0.9'] };
  return startTestPort(t, { engine, libc, files: pairs, application: echoApplication(), demux });
}

for (const variant of variants) {
  const { name, skip } = variant;
  t.test(`the client's address, engine ${name}`, { skip }, async (t) => {
    const { port, publicPort } = await start(t, variant);
    const direct = { from: '127.0.0.5', client: '127.0.0.5' };
    const v1 = { from: '127.0.0.9', client: '192.0.2.7', header: proxyHeaderV1('192.0.2.7', 4711) };
    const v2 = { from: '127.0.0.9', client: '2001:db8::7', header: proxyHeaderV2(7, 4711) };
    for (const { client, ...through } of [direct, v1, v2]) {
      for (const { name, alpn, ask } of httpWays) {
        const { body } = await ask(await dial(port, { ...through, alpn }), { path: '/' });
        t.equal((JSON.parse(body) as Echo).remoteAddress, client, `${name}, ${client}`);
      }
      for (const alpn of [null, ['http/1.1'], []]) {
        const ws = await webSocketOn(await dial(port, { ...through, alpn }));
        t.equal((await ws.next()).toString(), client, `WebSocket, ${String(alpn)}, ${client}`);
        ws.ws.close();
        await ws.closed;
      }
      t.equal(await echoed(port, { ...through, alpn: null }, stun), `turn-tcp ${client} `);
      t.equal(await echoed(port, { ...through, alpn: null }, iceFrame), `ice-tcp ${client} `);
      t.equal(await echoed(port, { ...through, alpn: [] }, stun), `turn-tls ${client} `);
      t.equal(await echoed(port, { ...through, alpn: ['stun.turn'] }, stun), `turn-tls ${client} `);
    }
    const { adopted, spliced, proxied } = publicPort.demux.counters;
    t.same({ adopted, spliced, proxied }, {
      adopted: name === 'uws' ? 4 : 0,
      spliced: name === 'uws, spliced' ? 4 : 0,
      proxied: 22,
    }); // prettier-ignore
  });

  t.test(`certificates by name, and tickets, engine ${name}`, { skip }, async (t) => {
    const second = await certificate('second', ['turn.example', '*.edge.example']);
    const { port } = await start(t, variant, [files, second]);
    const request = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
    const names = new Map([
      ['localhost', files],
      ['turn.example', second],
      ['TURN.example', second],
      ['a.edge.example', second],
      ['a.b.edge.example', files],
      ['other.example', files],
    ]);
    for (const alpn of ways) {
      for (const [asked, pair] of names) {
        const socket = await dial(port, { alpn, serverName: asked });
        const shown = certificateOf(socket)?.toString();
        t.equal(shown, await readFile(pair.certFile, 'utf8'), `${asked}, ${String(alpn)}`);
        socket.destroy();
      }
    }
    const exchange = (...options: readonly string[]): Promise<string> => openssl(port, options, request);
    // HTTP/1.1 by the engine; what has no ALPN by Node.
    for (const alpn of [['-alpn', 'http/1.1'], []]) {
      t.ok(await shows(await exchange(...alpn, '-servername', 'turn.example'), second));
      t.ok(await shows(await exchange(...alpn, '-noservername'), files));
      for (const [version, asked] of [
        ['-tls1_2', 'localhost'],
        ['-tls1_3', 'localhost'],
        ['-tls1_3', 'turn.example'],
      ] as const) {
        const session = path.join(folder, 'session');
        const options = [...alpn, version, '-servername', asked];
        t.match(await exchange(...options, '-sess_out', session), /^New, /m);
        const again = await exchange(...options, '-sess_in', session);
        t.match(again, /^Reused, /m, `ticket of ${version}, ${asked}, ${alpn.join(' ')}`);
        t.match(again, '200 OK');
      }
      t.match(await exchange(...alpn, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), /alert/);
      const weak = 'ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256:@SECLEVEL=0';
      t.match(await exchange(...alpn, '-tls1_2', '-cipher', weak), /handshake failure/);
    }
  });

  t.test(`changed certificates, engine ${name}`, { skip }, async (t) => {
    const pair = { certFile: path.join(folder, 'third/cert.pem'), keyFile: path.join(folder, 'third/key.pem') };
    const put = async (from: CertificateFiles): Promise<void> => {
      await copyFile(from.certFile, pair.certFile);
      await copyFile(from.keyFile, pair.keyFile);
    };
    await put(files);
    const second = await certificate('second', ['turn.example']);
    const { port, publicPort, logged } = await start(t, variant, [pair, second]);
    const ws = await openWebSocket(port, '/socket', ['sallyport.v1']);
    const late = await webSocketOn(await dial(port, { alpn: [] }));
    for (const socket of [ws, late]) t.equal((await socket.next()).toString(), '127.0.0.1');
    const held = await dial(port, { alpn: ['h2'] });
    const session = connectHttp2('https://localhost', { createConnection: () => held });
    const stream = session.request({ ':path': '/', ':method': 'POST' }, { endStream: false });
    stream.write('before');
    const turn = await dial(port, { alpn: [] });
    turn.write(stun);
    await once(turn, 'data');
    const before = await Promise.all(ways.map((alpn) => fingerprint(port, alpn)));
    t.equal(new Set(before).size, 1, 'the same for all who do TLS');

    await put(await certificate('fresh', ['fresh.example']));
    await publicPort.reloadCertificates();
    const after = await Promise.all(ways.map((alpn) => fingerprint(port, alpn)));
    t.equal(new Set(after).size, 1);
    t.not(after[0], before[0]);
    const named = await openssl(port, ['-alpn', 'http/1.1', '-servername', 'turn.example'], '');
    t.ok(await shows(named, second), 'the other one is still there');

    for (const socket of [ws, late]) {
      socket.ws.send('after');
      t.equal((await socket.next()).toString(), 'after', 'a WebSocket goes on');
    }
    stream.end('after');
    let body = '';
    for await (const chunk of stream) body += String(chunk);
    t.equal((JSON.parse(body) as Echo).bodyBytes, 11, 'a stream of h2 goes on');
    turn.write('after');
    t.match(String((await once(turn, 'data'))[0]), /after$/, 'TURN over TLS goes on');
    t.same(logged.filter((line) => line.startsWith('error')), []); // prettier-ignore

    await writeFile(pair.certFile, 'damaged');
    await publicPort.reloadCertificates();
    t.match(logged.at(-1), 'error the changed certificates cannot be used; those before stay');
    t.same(await Promise.all(ways.map((alpn) => fingerprint(port, alpn))), after, 'a damaged file changes nothing');
    for (const socket of [ws, late]) socket.ws.terminate();
    session.destroy();
    turn.destroy();
  });
}

t.test('ports', async (t) => {
  const [, , variant] = variants;
  if (variant === undefined) return;
  const { port, publicPort } = await start(t, variant);
  const rival = await start(t, variant);
  const taken = (at: number): Promise<number> => rival.publicPort.listen(['127.0.0.1'], at);
  await t.rejects(taken(port), { name: 'StartError', message: /SALLYPORT_PORT/ }, 'not shared with another edge');
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  await t.rejects(taken((other.address() as AddressInfo).port), { cause: { code: 'EADDRINUSE' } });
  await t.rejects(rival.publicPort.listen(['192.0.2.1'], 0), { cause: { code: 'EADDRNOTAVAIL' } });
  const open = await dial(port, { alpn: ['http/1.1'] });
  publicPort.stopListening();
  publicPort.stopListening();
  await t.rejects(dial(port, { alpn: null }), { code: 'ECONNREFUSED' });
  t.match(await askHttp1(open, { path: '/' }), { status: 200 }, 'open connections go on');
});

t.test('certificates that cannot be used', async (t) => {
  const broken = { certFile: files.certFile, keyFile: (await certificate('second', ['turn.example'])).keyFile };
  const [variant] = variants;
  if (variant !== undefined) await t.rejects(start(t, variant, [broken]), /does not belong/);
});

const ways = [['http/1.1'], ['h2'], [], ['stun.turn']] as const;

async function certificate(name: string, dns: readonly string[]): Promise<CertificateFiles> {
  return selfSignedCertificate(path.join(folder, name), { dns, ip: [] }, { dns: [], ip: [] }, Date.now());
}

/** Whether openssl has printed that certificate. */
async function shows(text: string, { certFile }: CertificateFiles): Promise<boolean> {
  return text.replaceAll('\n', '').includes((await readFile(certFile, 'utf8')).replaceAll('\n', ''));
}

async function fingerprint(port: number, alpn: readonly string[]): Promise<string> {
  const socket = await dial(port, { alpn });
  const shown = certificateOf(socket)?.fingerprint256 ?? 'none';
  socket.destroy();
  return shown;
}

function certificateOf(socket: Socket): X509Certificate | undefined {
  return socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
}

/** What the echo says about itself. */
async function echoed(port: number, way: Dial, opening: Buffer): Promise<string> {
  const socket = await dial(port, way);
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])));
  socket.end(opening);
  await once(socket, 'close');
  const text = bytes.toString('latin1');
  return text.endsWith(opening.toString('latin1')) ? text.slice(0, text.length - opening.length) : 'damaged';
}

async function webSocketOn(socket: Socket): Promise<TestSocket> {
  const ws = new WebSocket('ws://edge.example/socket', ['sallyport.v1'], { createConnection: () => socket });
  const listening = new TestSocket(ws);
  await once(ws, 'open');
  return listening;
}

/** All that `openssl s_client` prints; with nothing to send it ends after the handshake. */
async function openssl(port: number, options: readonly string[], input: string): Promise<string> {
  const ends = input === '' ? [] : ['-ign_eof'];
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${String(port)}`, ...ends, ...options]);
  let text = '';
  const collect = (chunk: Buffer): void => {
    text += chunk.toString('latin1');
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  await once(child, 'close');
  return text;
}
