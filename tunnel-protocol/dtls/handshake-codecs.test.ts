import crypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { decodeCertificates, decodeCertificateVerify, requestTakesEcdsa } from './certificate.ts';
import { createDtlsCounters } from './counters.ts';
import { DtlsGuard } from './guard.ts';
import { decodeFragment, messageBody } from './handshake-message.ts';
import { decodeClientHello, decodeServerHello, namedGroup } from './hello.ts';
import { decodeClientKeyExchange, decodeServerKeyExchange, isKeyShare } from './key-exchange.ts';
import { recordBytesAt } from './record.ts';

const captureUrl = new URL('../../../tunnel-protocol/testdata/dtls-client-hello-chromium-156.json', import.meta.url);
const capture = JSON.parse(readFileSync(captureUrl, 'utf8')) as { datagrams: string[] };
const fromHex = (hex: string) => Uint8Array.from(Buffer.from(hex, 'hex'));

function chromiumHello(order: readonly number[]): Uint8Array | null {
  const guard = new DtlsGuard({ counters: createDtlsCounters(), mtu: 1200, roundTripMs: null });
  for (const index of order) guard.handle(fromHex(capture.datagrams[index] ?? ''), 0);
  return guard.nextInbound();
}

t.test('the ClientHello of Chromium, larger than a datagram', (t) => {
  t.equal(chromiumHello([0]), null);
  t.equal(chromiumHello([1, 1]), null);
  const message = chromiumHello([1, 0]);
  t.same(chromiumHello([0, 1]), message);
  const hello = decodeClientHello(messageBody(message ?? new Uint8Array(0)));
  t.match(hello, { version: 0xfefd, extendedMasterSecret: true, compressionMethods: [0] });
  t.equal(hello?.cookie.length, 0);
  t.ok(hello?.cipherSuites.includes(0xc02b));
  t.ok(hello?.groups.includes(namedGroup.x25519) && hello.groups.includes(0x11ec), 'X25519, and X25519MLKEM768');
  t.ok(hello?.srtpProfiles.includes(7) && hello.srtpProfiles.includes(1));
  t.ok(hello?.signatureSchemes.includes(0x0403));
  t.end();
});

t.test('a hello that is cut, padded or repeats an extension is refused', (t) => {
  const body = messageBody(chromiumHello([0, 1]) ?? new Uint8Array(0));
  t.ok(decodeClientHello(body));
  for (let length = 0; length < body.length; length++) {
    // Without extensions at all it would still be a hello (RFC 5246 section 7.4.1.2), which the server then refuses.
    const hello = decodeClientHello(body.subarray(0, length));
    if (hello !== null) t.same([hello.groups, hello.extendedMasterSecret], [[], false]);
  }
  t.equal(decodeClientHello(Buffer.concat([body, Buffer.of(0)])), null);
  const twice = 'fefd' + '00'.repeat(32) + '00' + '00' + '0002c02b' + '0100' + '0008' + '00170000' + '00170000';
  t.equal(decodeClientHello(fromHex(twice)), null);
  t.ok(decodeClientHello(fromHex(twice.replace(/0008.*$/, '000400170000')))?.extendedMasterSecret);
  t.end();
});

t.test('key shares', (t) => {
  const x25519 = crypto.generateKeyPairSync('x25519');
  const point = (x25519.publicKey.export({ format: 'der', type: 'spki' }) as Uint8Array).slice(-32);
  t.ok(isKeyShare(namedGroup.x25519, point));
  t.notOk(isKeyShare(namedGroup.x25519, point.subarray(1)));
  t.notOk(isKeyShare(namedGroup.secp256r1, point));
  t.notOk(isKeyShare(24, point));
  t.ok(isKeyShare(namedGroup.secp256r1, Buffer.concat([Buffer.of(4), Buffer.alloc(64)])));
  t.notOk(isKeyShare(namedGroup.secp256r1, Buffer.concat([Buffer.of(2), Buffer.alloc(64)])), 'compressed');

  // OpenSSL refuses to derive from points of low order, so it can tell whether these are all there are near.
  const prefix = Buffer.from('302a300506032b656e032100', 'hex');
  const isContributory = (candidate: Uint8Array) => {
    const publicKey = crypto.createPublicKey({ key: Buffer.concat([prefix, candidate]), format: 'der', type: 'spki' });
    try {
      return crypto.diffieHellman({ privateKey: x25519.privateKey, publicKey }).some((byte) => byte !== 0);
    } catch {
      return false;
    }
  };
  const small = Array.from({ length: 8 }, (_, value) => Buffer.concat([Buffer.of(value), Buffer.alloc(31)]));
  const large = Array.from({ length: 24 }, (_, value) =>
    Buffer.concat([Buffer.of(0xe8 + value), Buffer.alloc(30, 0xff), Buffer.of(0x7f)]),
  );
  const order8 = [
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  ].map((hex) => Buffer.from(hex, 'hex'));
  for (const candidate of [...small, ...large, ...order8, point]) {
    t.equal(isKeyShare(namedGroup.x25519, candidate), isContributory(candidate), candidate.toString('hex'));
    const masked = Buffer.from(candidate);
    masked[31] = (masked[31] ?? 0) | 0x80;
    t.equal(isKeyShare(namedGroup.x25519, masked), isContributory(masked), 'with the bit that is ignored');
  }
  t.end();
});

t.test('certificates', (t) => {
  t.same(decodeCertificates(fromHex('000000')), []);
  t.same(decodeCertificates(fromHex('000009000001aa000002bbcc')), [fromHex('aa'), fromHex('bbcc')]);
  for (const bad of ['', '000001', '000004000002aa', '00000000']) t.equal(decodeCertificates(fromHex(bad)), null, bad);
  t.same(decodeCertificateVerify(fromHex('04030001aa')), { scheme: 0x0403, signature: fromHex('aa') });
  t.equal(decodeCertificateVerify(fromHex('04030002aa')), null);
  t.equal(requestTakesEcdsa(fromHex('020140' + '000404010403' + '0000')), true);
  t.equal(requestTakesEcdsa(fromHex('0101' + '000404010403' + '0000')), false);
  t.equal(requestTakesEcdsa(fromHex('0140' + '00020401' + '0000')), false);
  t.equal(requestTakesEcdsa(fromHex('0140' + '0003040104' + '0000')), null);
  t.end();
});

t.test('random bytes never throw', (t) => {
  const hello = messageBody(chromiumHello([0, 1]) ?? new Uint8Array(0));
  const mutated = fc.tuple(fc.nat(hello.length - 1), fc.nat(255), fc.nat(hello.length)).map(([at, value, length]) => {
    const copy = hello.slice(0, length);
    if (at < length) copy[at] = value;
    return copy;
  });
  const decoders = [decodeClientHello, decodeServerHello, decodeServerKeyExchange, decodeClientKeyExchange];
  const others = [decodeCertificates, decodeCertificateVerify, requestTakesEcdsa];
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
      for (const decode of [...decoders, ...others]) decode(bytes);
      decodeFragment(bytes, 0);
      recordBytesAt(bytes, 0);
    }),
    { numRuns: 2000 },
  );
  t.end();
});
