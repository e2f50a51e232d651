import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { connect, createServer, type ConnectionOptions, type Server, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { CertificateSet, uwsCiphers, type CertificateFiles } from './certificates.ts';
import { dnsNames } from './tls-files.ts';
import { selfSignedCertificate } from './tls-certificate.ts';

const dayMs = 86_400_000;
/** Makes certificates that the edge itself never would. */
const skip =
  process.env['CI'] !== 'true' && spawnSync('openssl', ['version']).status !== 0 && 'openssl is not installed';

function make(folder: string, dns: readonly string[], nowMs = Date.now()): Promise<CertificateFiles> {
  return selfSignedCertificate(folder, { dns, ip: ['127.0.0.1'] }, { dns: [], ip: [] }, nowMs);
}

async function serve(t: Test, set: CertificateSet): Promise<Server> {
  const server = createServer({ ...set.tlsOptions(), ticketKeys: Buffer.alloc(48, 7) }, (socket) => {
    socket.on('error', () => undefined);
    socket.end('hello');
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return server;
}

interface Handshake {
  readonly name: string;
  readonly protocol: string | null;
  readonly cipher: string;
  readonly reused: boolean;
  readonly session: Buffer | null;
}

/** Rejects with the handshake's error. */
async function handshake(server: Server, options: ConnectionOptions): Promise<Handshake> {
  const { port } = server.address() as AddressInfo;
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  let session: Buffer | null = null;
  socket.on('session', (ticket: Buffer) => {
    session = ticket;
  });
  await once(socket, 'secureConnect');
  const name = socket.getPeerX509Certificate()?.subjectAltName ?? '';
  const result = {
    name: /DNS:([^,]+)/.exec(name)?.[1] ?? '',
    protocol: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    reused: socket.isSessionReused(),
  };
  socket.resume();
  await once(socket, 'close');
  return { ...result, session };
}

t.test('the name that a client asks for chooses the certificate', async (t) => {
  const folder = t.testdir();
  const set = await CertificateSet.load([
    await make(path.join(folder, 'a'), ['default.example']),
    await make(path.join(folder, 'b'), ['edge.example', '*.edge.example']),
    await make(path.join(folder, 'c'), ['exact.edge.example', 'edge.example', '*.default.example']),
  ]);
  t.same(
    set.all.map(({ names }) => names),
    [
      ['default.example'],
      ['edge.example', '*.edge.example'],
      ['exact.edge.example', 'edge.example', '*.default.example'],
    ],
  );
  t.same(set.warnings, []);
  const server = await serve(t, set);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const [asked, expected] of [
      ['default.example', 'default.example'],
      ['edge.example', 'edge.example'],
      ['Edge.Example', 'edge.example'],
      ['pop1.edge.example', 'edge.example'],
      ['exact.edge.example', 'exact.edge.example'],
      ['x.default.example', 'exact.edge.example'],
      ['two.levels.edge.example', 'default.example'],
      ['.edge.example', 'default.example'],
      ['elsewhere.example', 'default.example'],
      ['localhost', 'default.example'],
      ['__proto__', 'default.example'],
      ['', 'default.example'],
    ] as const) {
      const { name, protocol } = await handshake(server, {
        servername: asked,
        minVersion: version,
        maxVersion: version,
      });
      t.equal(name, expected, `${version} ${JSON.stringify(asked)}`);
      t.equal(protocol, version);
    }
  }
  t.notOk(set.contextFor('default.example'), 'the default is for the server to give');
  t.notOk(set.contextFor('*.edge.example.'));
});

t.test('tickets are resumed, under the default name and under others', async (t) => {
  const folder = t.testdir();
  const set = await CertificateSet.load([
    await make(path.join(folder, 'a'), ['default.example']),
    await make(path.join(folder, 'b'), ['edge.example']),
  ]);
  const server = await serve(t, set);
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    for (const servername of ['default.example', 'edge.example']) {
      const first = await handshake(server, { servername, maxVersion });
      t.equal(first.reused, false);
      if (first.session === null) throw new Error('no ticket');
      const second = await handshake(server, { servername, maxVersion, session: first.session });
      t.equal(second.reused, true, `${maxVersion} ${servername}`);
    }
  }
});

t.test('only TLS 1.2 and 1.3, only ephemeral keys and authenticated encryption', async (t) => {
  const folder = t.testdir();
  const server = await serve(t, await CertificateSet.load([await make(folder, ['default.example'])]));
  // At its default security level OpenSSL's client would not even offer TLS 1.1.
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
  await t.rejects(handshake(server, old), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
  const twelve = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
  for (const cipher of ['ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'AES128-GCM-SHA256', 'AES256-SHA']) {
    await t.rejects(handshake(server, { ...twelve, ciphers: `${cipher}:@SECLEVEL=0` }), /handshake|alert/i, cipher);
  }
  for (const cipher of uwsCiphers.split(':').filter((name) => name.includes('ECDSA'))) {
    const { cipher: used } = await handshake(server, { ...twelve, ciphers: cipher });
    t.match(used, /^TLS_ECDHE_ECDSA_WITH_(AES_\d+_GCM|CHACHA20_POLY1305)/, cipher);
  }
  for (const cipher of ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256']) {
    t.equal((await handshake(server, { ciphers: cipher })).cipher, cipher, 'the client chooses');
  }
});

t.test('all that is wrong with the files is said at once', async (t) => {
  const folder = t.testdir();
  const a = await make(path.join(folder, 'a'), ['a.example']);
  const b = await make(path.join(folder, 'b'), ['b.example']);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encrypted = path.join(folder, 'encrypted.pem');
  const cipher = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' } as const;
  await writeFile(encrypted, privateKey.export(cipher));
  const older = path.join(folder, 'older.pem');
  await writeFile(older, privateKey.export({ ...cipher, type: 'sec1' }));
  const missing = path.join(folder, 'missing.pem');
  const fault = async (...files: CertificateFiles[]): Promise<string> => {
    try {
      await CertificateSet.load(files);
      return '';
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  t.equal(
    await fault({ certFile: a.certFile, keyFile: b.keyFile }),
    `${b.keyFile}: the key does not belong to the certificate`,
  );
  for (const keyFile of [encrypted, older]) {
    const sentence = await fault({ certFile: a.certFile, keyFile });
    t.equal(sentence, `${keyFile}: the key is encrypted; store it without a passphrase, readable by its owner alone`);
  }
  t.match(await fault({ certFile: a.keyFile, keyFile: a.keyFile }), /the file holds no certificate in PEM form$/);
  t.match(await fault({ certFile: a.certFile, keyFile: a.certFile }), /the file holds no private key in PEM form$/);
  const several = await fault({ certFile: missing, keyFile: a.keyFile }, a, {
    certFile: b.certFile,
    keyFile: encrypted,
  });
  t.match(several, /missing\.pem cannot be read \(ENOENT/);
  t.match(several, /; .*encrypted\.pem: the key is encrypted/);
  t.equal(await fault(), 'at least one certificate is needed');
});

t.test('a key too weak for TLS', { skip }, async (t) => {
  const folder = t.testdir();
  const files = { certFile: path.join(folder, 'c.pem'), keyFile: path.join(folder, 'k.pem') };
  const names = ['-keyout', files.keyFile, '-out', files.certFile, '-subj', '/CN=weak.example'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:512', '-nodes', '-days', '9', ...names], {
    stdio: 'ignore',
  });
  await t.rejects(CertificateSet.load([files]), /c\.pem cannot be used for TLS \(.*key too small/);
});

t.test('an RSA certificate, and certificates out of their time', { skip }, async (t) => {
  const folder = t.testdir();
  const files = { certFile: path.join(folder, 'c.pem'), keyFile: path.join(folder, 'k.pem') };
  const subject = [
    '-subj',
    '/CN=rsa.example',
    '-addext',
    'subjectAltName=DNS:RSA.example,IP:192.0.2.1,DNS:*.rsa.example',
  ];
  const to = ['-keyout', files.keyFile, '-out', files.certFile];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '9', ...subject, ...to], {
    stdio: 'ignore',
  });
  const expired = await make(path.join(folder, 'expired'), ['old.example'], Date.now() - 500 * dayMs);
  const early = await make(path.join(folder, 'early'), ['new.example'], Date.now() + 5 * dayMs);
  const set = await CertificateSet.load([files, expired, early]);
  t.same(set.all[0].names, ['rsa.example', '*.rsa.example']);
  t.equal(set.warnings.length, 2);
  t.match(set.warnings.join(), /expired\/tls-cert\.pem: the certificate expired on .* GMT/);
  t.match(set.warnings.join(), /early\/tls-cert\.pem: the certificate is not valid before .* GMT/);
  const server = await serve(t, set);
  const { name, cipher } = await handshake(server, { servername: 'a.rsa.example', maxVersion: 'TLSv1.2' });
  t.equal(name, 'RSA.example');
  t.match(cipher, /^TLS_ECDHE_RSA_WITH_/);
  t.equal((await handshake(server, { servername: 'old.example' })).name, 'old.example', 'expired ones are served');
});

t.test('names hidden in values of another kind are none', { skip }, (t) => {
  const folder = t.testdir();
  const file = path.join(folder, 'c.pem');
  const config = path.join(folder, 'req.cnf');
  const lines = ['[req]', 'distinguished_name=dn', 'x509_extensions=ext', 'prompt=no', '[dn]', 'CN=x', '[ext]'];
  lines.push('subjectAltName=@names', '[names]', 'URI.1=https://x/a, DNS:evil.example, DNS:b', 'DNS.1=good.example');
  return writeFile(config, lines.join('\n')).then(() => {
    const to = ['-keyout', path.join(folder, 'k.pem'), '-out', file];
    execFileSync('openssl', ['req', '-x509', '-config', config, '-newkey', 'rsa:2048', '-nodes', ...to], {
      stdio: 'ignore',
    });
    t.same(dnsNames(readFileSync(file, 'utf8')), ['good.example']);
  });
});
