/** TLS by OpenSSL past Node: what clients of others say comes whole, and what they must not do is refused. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { connect as connectTcp, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import t, { type Test } from 'tap';
import { testCertificate } from '../testing/tls-fixture.ts';
import { loadLibc, loadOpensslTls, ticketKeyBytes, TlsConnection } from './index.ts';

const files = await testCertificate(t.testdir());
const libc = loadLibc();
const openssl = loadOpensslTls();
const absent = libc === null || openssl === null ? 'libc or OpenSSL cannot be called here' : false;
const skip = process.env['CI'] === 'true' ? false : absent;
const options = {
  cert: readFileSync(files.certFile, 'utf8'),
  key: readFileSync(files.keyFile, 'utf8'),
  ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
  ciphersuites: 'TLS_AES_128_GCM_SHA256',
  sessionIdContext: 'test',
  ticketKeys: new Uint8Array(ticketKeyBytes),
};

interface Echo {
  readonly port: number;
  /** How each connection ended: what was heard in all, and whether the client said goodbye. */
  readonly endings: { heard: number; goodbye: boolean }[];
  readonly sockets: Socket[];
}

/** Says back what it hears. */
async function echo(t: Test, maxUnsentBytes = 1_048_576): Promise<Echo> {
  if (libc === null || openssl === null) throw new Error(String(absent));
  const context = openssl.context(options);
  const endings: Echo['endings'] = [];
  const sockets: Socket[] = [];
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (socket) => {
    sockets.push(socket);
    const connection = TlsConnection.of(socket, libc, context, maxUnsentBytes);
    if (connection === null) throw new Error('the connection is gone');
    const ending = { heard: 0, goodbye: false };
    connection.start({
      data: (bytes) => {
        ending.heard += bytes.length;
        connection.write(bytes);
      },
      ended: () => {
        ending.goodbye = true;
        connection.close();
      },
      closed: () => {
        endings.push(ending);
      },
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    context.close();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, endings, sockets };
}

/** What comes back of these pieces, when the client has ended. */
async function heardBack(port: number, pieces: readonly Uint8Array[], more: ConnectionOptions): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...more });
  const chunks: Buffer[] = [];
  const wanted = pieces.reduce((sum, piece) => sum + piece.length, 0);
  let length = 0;
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= wanted) socket.end();
  });
  await once(socket, 'secureConnect');
  for (const piece of pieces) if (!socket.write(piece)) await once(socket, 'drain');
  await once(socket, 'close');
  return Buffer.concat(chunks);
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  t.test(`${version}: any sizes come whole and in order`, { skip }, async (t) => {
    const { port, endings } = await echo(t);
    const sizes = [1, 1, 2, 100, 16_383, 16_384, 16_385, 65_536, 65_537, 300_000, 3];
    const pieces = sizes.map((size) => randomBytes(size));
    const back = await heardBack(port, pieces, { minVersion: version, maxVersion: version });
    t.equal(Buffer.compare(back, Buffer.concat(pieces)), 0);
    t.match(endings, [{ heard: Buffer.concat(pieces).length, goodbye: true }]);
  });
}

t.test('a client that does not read gets all when it does', { skip }, async (t) => {
  const { port, sockets } = await echo(t);
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const sent = randomBytes(8_000_000);
  socket.pause();
  socket.end(sent);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  while (sockets[0]?.writableLength === 0) await setImmediate();
  socket.resume();
  await once(socket, 'close');
  t.equal(Buffer.compare(Buffer.concat(chunks), sent), 0);
});

t.test('OpenSSL changes keys, but does not negotiate anew', { skip }, async (t) => {
  const { port } = await echo(t);
  const changed = await sClient(port, ['-tls1_3'], 'before\nK\nafter\n');
  t.match(changed, /before[^]*KEYUPDATE[^]*after/);
  const renegotiated = await sClient(port, ['-tls1_2'], 'before\nR\nafter\n');
  t.match(renegotiated, /before[^]*RENEGOTIATING[^]*no renegotiation/);
});

t.test('what is not TLS, or not ours, gets an alert and is gone', { skip }, async (t) => {
  const { port, endings } = await echo(t);
  const old = heardBack(port, [], { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
  await t.rejects(old, { message: /alert protocol version/ });
  const weak = heardBack(port, [], { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' });
  await t.rejects(weak, { message: /handshake failure/ });
  const raw = connectTcp(port, '127.0.0.1');
  raw.write('GET / HTTP/1.1\r\n\r\n');
  raw.resume();
  await once(raw, 'close');
  t.match(endings, [{ heard: 0 }, { heard: 0 }, { heard: 0 }]);
});

t.test('certificates and keys that are none', { skip }, (t) => {
  t.throws(() => openssl?.context({ ...options, cert: 'none' }), { message: 'OpenSSL does not take the certificate' });
  t.throws(() => openssl?.context({ ...options, key: 'none' }), { message: 'OpenSSL does not take the key' });
  t.throws(() => openssl?.context({ ...options, ciphers: 'none' }), { message: /policy/ });
  const session = openssl?.context(options).session();
  session?.close();
  session?.close();
  session?.feed(new Uint8Array(5), 0);
  t.same(
    [session?.handshake(), session?.read(), session?.write(new Uint8Array(1)), session?.take()],
    ['failed', 'failed', false, null],
  );
  t.end();
});

/** What `openssl s_client` prints of a connection on which these lines are typed, each when the one before was answered. */
async function sClient(port: number, more: readonly string[], input: string): Promise<string> {
  const child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${String(port)}`, ...more]);
  let text = '';
  const lines = input.split('\n');
  const type = (): void => {
    const line = lines.shift();
    if (line === undefined || line === '') child.stdin.end();
    else child.stdin.write(`${line}\n`);
  };
  const heard = (chunk: Buffer): void => {
    text += chunk.toString();
    if (/(^|\n)(before|after|KEYUPDATE|RENEGOTIATING)\n/.test(chunk.toString())) type();
  };
  child.stdout.on('data', heard);
  child.stderr.on('data', heard);
  // An input that was closed is no fault.
  child.stdin.on('error', () => undefined);
  type();
  await once(child, 'close');
  return text;
}
