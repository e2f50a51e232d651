/** SRTP by OpenSSL in the engine's memory gives what `node:crypto` gives packet by packet, both profiles and both ways. */
import * as nodeCrypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import {
  concatBytes,
  isSrtpError,
  putU16,
  putU32,
  srtpCryptoFrom,
  SrtpEngine,
  srtpError,
  SrtpSession,
  type SrtpKeyMaterial,
  type SrtpProfile,
  type SrtpWasm,
} from '../../tunnel-protocol/index.ts';
import { loadOpenssl, opensslAbsence } from './index.ts';

declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: object } }>;
};
const bindOpenssl = loadOpenssl();
/** Under CI, a missing OpenSSL is a failure. */
const skip = bindOpenssl === null && process.env['CI'] !== 'true' && 'no OpenSSL';
const crypto = srtpCryptoFrom(nodeCrypto);
const wasm = readFileSync(new URL('../../tunnel-protocol/srtp/engine.wasm', import.meta.url));
const engine = new SrtpEngine((await WebAssembly.instantiate(wasm, {})).instance.exports as SrtpWasm, bindOpenssl);
const profiles: readonly SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];

t.equal(bindOpenssl === null, opensslAbsence() !== null);
t.equal(loadOpenssl(), bindOpenssl, 'loaded once');

/** The same session twice; one key both ways, so that each reads what it wrote. */
function twins(profile: SrtpProfile): { plain: SrtpSession; fast: SrtpSession } {
  const salt = nodeCrypto.randomBytes(profile === 'AEAD_AES_128_GCM' ? 12 : 14);
  const key = nodeCrypto.randomBytes(16);
  const keys: SrtpKeyMaterial = { profile, localKey: key, localSalt: salt, remoteKey: key, remoteSalt: salt };
  return {
    plain: new SrtpSession(keys, crypto),
    fast: new SrtpSession(keys, crypto, undefined, undefined, engine),
  };
}

function rtp(sequenceNumber: number, ssrc: number, payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(12);
  header[0] = 0x80;
  putU16(header, 2, sequenceNumber);
  putU32(header, 8, ssrc);
  return concatBytes([header, payload]);
}

function rtcp(ssrc: number, rest: Uint8Array): Uint8Array {
  const header = new Uint8Array(8);
  header.set([0x80, 200]);
  putU32(header, 4, ssrc);
  return concatBytes([header, rest]);
}

function hex(result: Uint8Array | number): string {
  return typeof result === 'number' ? `error ${String(result)}` : Buffer.from(result).toString('hex');
}

const payload = fc.uint8Array({ maxLength: 1400, size: 'max' });

for (const profile of profiles) {
  t.test(`${profile}: one by one`, { skip }, (t) => {
    t.not(engine.native, null);
    const { plain, fast } = twins(profile);
    let number = 65_480;
    fc.assert(
      fc.property(payload, fc.nat(7), (bytes, ssrc) => {
        const packet = rtp(number++ & 0xffff, ssrc, bytes);
        const sealed = hex(plain.protectRtp(packet));
        t.equal(hex(fast.protectRtp(packet)), sealed);
        t.equal(hex(fast.unprotectRtp(Buffer.from(sealed, 'hex'))), hex(packet));
        const report = rtcp(ssrc, bytes);
        const sealedReport = hex(plain.protectRtcp(report));
        t.equal(hex(fast.protectRtcp(report)), sealedReport);
        t.equal(hex(fast.unprotectRtcp(Buffer.from(sealedReport, 'hex'))), hex(report));
      }),
      { numRuns: 120 },
    );
    fast.close();
    t.end();
  });

  t.test(`${profile}: batches of several keys`, { skip }, (t) => {
    const pairs = [twins(profile), twins(profile), twins(profile)];
    const queued: { at: number; expected: string }[] = [];
    for (let i = 0; i < 300; i++) {
      const { plain, fast } = pairs[i % 3] as (typeof pairs)[0];
      const packet = rtp(i, 7, nodeCrypto.randomBytes((i * 37) % 1300));
      const at = engine.open(packet.length);
      engine.bytes.set(packet, at);
      t.ok(fast.queueRtp(at, packet.length) > 0);
      queued.push({ at, expected: hex(plain.protectRtp(packet)) });
    }
    for (const { fast } of pairs) fast.sealQueued();
    for (const { at, expected } of queued) {
      t.equal(hex(engine.bytes.subarray(at, at + expected.length / 2)), expected);
    }
    for (const { fast } of pairs) {
      fast.clearQueue();
      fast.close();
    }
    engine.reset();
    t.end();
  });

  t.test(`${profile}: what was changed is refused`, { skip }, (t) => {
    const { plain, fast } = twins(profile);
    const packet = plain.protectRtp(rtp(1, 1, new Uint8Array(50)));
    const report = plain.protectRtcp(rtcp(1, new Uint8Array(20)));
    if (isSrtpError(packet) || isSrtpError(report)) throw new Error('cannot be protected');
    for (let at = 12; at < packet.length; at++) {
      const forged = packet.slice();
      forged[at] = (forged[at] as number) ^ 0x10;
      t.equal(fast.unprotectRtp(forged), srtpError.unauthenticated);
    }
    for (let at = 8; at < report.length; at++) {
      const forged = report.slice();
      forged[at] = (forged[at] as number) ^ 0x10;
      t.equal(fast.unprotectRtcp(forged), srtpError.unauthenticated);
    }
    t.notOk(isSrtpError(fast.unprotectRtp(packet)), 'and the real one still is read');
    t.notOk(isSrtpError(fast.unprotectRtcp(report)));
    fast.close();
    fast.close();
    t.end();
  });
}

t.test('RFC 7714 section 17.3: nothing is encrypted, all is authenticated', { skip }, (t) => {
  const opener = engine.native?.gcmOpener(Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'));
  const { scratch, nonce, bytes } = engine;
  const associated = Buffer.from(
    '81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef000005d4',
    'hex',
  );
  bytes.set(associated, scratch);
  bytes.set(Buffer.from('841dd9683dd78ec92ae58790125f62b3', 'hex'), scratch + associated.length);
  bytes.set(Buffer.from('517524055203726f207170bb', 'hex'), nonce);
  const run = (): boolean | undefined => opener?.run(nonce, scratch, associated.length, scratch + associated.length, 0);
  t.equal(run(), true);
  bytes[scratch] = 0x80;
  t.equal(run(), false);
  bytes[scratch] = 0x81;
  t.equal(run(), true);
  opener?.close();
  t.equal(run(), false, 'nothing after its end');
  t.throws(() => engine.native?.gcmSealer(new Uint8Array(15)), RangeError);
  t.end();
});

t.test('nothing is sealed with a key that was given back', { skip }, (t) => {
  for (const profile of profiles) {
    const { fast } = twins(profile);
    fast.close();
    t.throws(() => fast.protectRtp(rtp(1, 1, new Uint8Array(20))));
  }
  t.end();
});
