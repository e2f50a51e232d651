import { X509Certificate } from 'node:crypto';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import t from 'tap';
import { keyPairFault, spkiPin, validityFault } from './tls-files.ts';
import { selfSignedCertificate } from './tls-certificate.ts';

const required = { dns: ['localhost', 'edge.example'], ip: ['127.0.0.1', '::1'] };
const extra = { dns: ['pop1'], ip: ['192.0.2.10', '2001:db8::10'] };
const now = Date.now();
const dayMs = 86_400_000;

t.test('made on the first run, kept on the second', async (t) => {
  const dataDir = path.join(t.testdir(), 'new', 'data');
  const made = await selfSignedCertificate(dataDir, required, extra, now);
  t.equal(made.made, true);
  t.equal((await stat(made.keyFile)).mode & 0o777, 0o600);
  const certPem = await readFile(made.certFile, 'utf8');
  const keyPem = await readFile(made.keyFile, 'utf8');
  t.equal(keyPairFault(certPem, keyPem), null);
  const certificate = new X509Certificate(certPem);
  for (const name of ['localhost', 'edge.example', 'pop1']) t.equal(certificate.checkHost(name), name);
  for (const ip of ['127.0.0.1', '::1', '192.0.2.10', '2001:db8::10']) t.ok(certificate.checkIP(ip), ip);
  t.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  t.equal(made.pin, spkiPin(certPem));
  t.match(made.pin, /^[A-Za-z0-9+/]{43}=$/);

  const kept = await selfSignedCertificate(dataDir, required, { dns: ['renamed'], ip: [] }, now);
  t.equal(kept.made, false);
  t.equal(kept.pin, made.pin);
});

t.test('replaced when it nears its end or lacks a demanded name, or is damaged', async (t) => {
  const dataDir = t.testdir();
  const first = await selfSignedCertificate(dataDir, required, extra, now);
  t.equal((await selfSignedCertificate(dataDir, required, extra, now + 366 * dayMs)).made, false);
  const second = await selfSignedCertificate(dataDir, required, extra, now + 368 * dayMs);
  t.equal(second.made, true);
  t.not(second.pin, first.pin);
  const more = { ...required, dns: [...required.dns, 'new.example'] };
  t.equal((await selfSignedCertificate(dataDir, more, extra, now)).made, true);
  await chmod(second.keyFile, 0o600);
  await writeFile(second.keyFile, 'damaged');
  t.equal((await selfSignedCertificate(dataDir, more, extra, now)).made, true);
});

t.test('faults of a pair of files', async (t) => {
  const a = await selfSignedCertificate(t.testdir({ a: {} }), required, extra, now);
  const b = await selfSignedCertificate(path.join(t.testdirName, 'b'), required, extra, now);
  const expired = await selfSignedCertificate(path.join(t.testdirName, 'c'), required, extra, now - 500 * dayMs);
  const read = (file: string): Promise<string> => readFile(file, 'utf8');
  t.match(keyPairFault('x', 'y'), { of: 'cert' });
  t.match(keyPairFault(await read(a.certFile), 'y'), { of: 'key', sentence: /no private key/ });
  t.match(keyPairFault(await read(a.certFile), await read(b.keyFile)), { of: 'key', sentence: /does not belong/ });
  const past = await read(expired.certFile);
  t.equal(keyPairFault(past, await read(expired.keyFile)), null, 'the server can use it');
  t.match(validityFault(past, now), /^the certificate expired on /);
  t.match(validityFault(past, now - 600 * dayMs), /^the certificate is not valid before /);
  t.equal(validityFault(past, now - 500 * dayMs), null);
});
