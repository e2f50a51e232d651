import { createHash } from 'node:crypto';
import t from 'tap';
import { isDtlsFingerprint, matchesFingerprint } from './fingerprint.ts';

const certificate = Buffer.from('any bytes will do');
const digest = (hash: string, data: Uint8Array) => createHash(hash.replace('-', '')).update(data).digest();
const fingerprintOf = (hash: string) => (digest(hash, certificate).toString('hex').match(/../g) ?? []).join(':');

t.test('three hashes, in any case', (t) => {
  for (const algorithm of ['sha-256', 'sha-384', 'sha-512']) {
    const value = fingerprintOf(algorithm);
    for (const fingerprint of [
      { algorithm, value },
      { algorithm: algorithm.toUpperCase(), value: value.toUpperCase() },
    ]) {
      t.ok(isDtlsFingerprint(fingerprint));
      t.ok(matchesFingerprint(fingerprint, certificate, digest));
      t.notOk(matchesFingerprint(fingerprint, Buffer.from('other bytes'), digest));
    }
  }
  t.end();
});

t.test('nothing else', (t) => {
  const value = fingerprintOf('sha-256');
  for (const [algorithm, text] of [
    ['sha-1', fingerprintOf('sha-1')],
    ['md5', fingerprintOf('md5')],
    ['', value],
    ['__proto__', value],
    ['sha-256', ''],
    ['sha-256', value.slice(3)],
    ['sha-256', value.replaceAll(':', '')],
    ['sha-256', `${value.slice(0, -1)}g`],
    ['sha-256', value.replaceAll(':', '-')],
    ['sha-384', value],
  ] as const) {
    const fingerprint = { algorithm, value: text };
    t.notOk(isDtlsFingerprint(fingerprint), `${algorithm} ${text}`);
    t.notOk(matchesFingerprint(fingerprint, certificate, digest));
  }
  t.end();
});
