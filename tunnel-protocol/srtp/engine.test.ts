import * as nodeCrypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { concatBytes, putU16, putU32 } from '../bytes.ts';
import { srtpCryptoFrom } from './crypto.ts';
import { SrtpEngine, type SrtpWasm } from './engine.ts';
import { isSrtpError, srtpError } from './errors.ts';
import type { SrtpKeyMaterial, SrtpProfile } from './keys.ts';
import { SrtpSession } from './session.ts';

declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: object } }>;
};
const crypto = srtpCryptoFrom(nodeCrypto);
const file = readFileSync(new URL('./engine.wasm', import.meta.url));
const engine = new SrtpEngine((await WebAssembly.instantiate(file, {})).instance.exports as SrtpWasm);
const profiles: readonly SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];

function material(profile: SrtpProfile): SrtpKeyMaterial {
  const salt = profile === 'AEAD_AES_128_GCM' ? 12 : 14;
  const key = nodeCrypto.randomBytes(16);
  const keySalt = nodeCrypto.randomBytes(salt);
  // One key both ways, so that a session reads what it wrote.
  return { profile, localKey: key, localSalt: keySalt, remoteKey: key, remoteSalt: keySalt };
}

/** The same session twice: by primitives of node:crypto, and by the engine. */
function twins(profile: SrtpProfile): { plain: SrtpSession; fast: SrtpSession } {
  const keys = material(profile);
  return {
    plain: new SrtpSession(keys, crypto),
    fast: new SrtpSession(keys, crypto, undefined, undefined, engine),
  };
}

function rtp(sequenceNumber: number, ssrc: number, payload: Uint8Array, extensionWords = 1): Uint8Array {
  const header = new Uint8Array(12 + (extensionWords > 0 ? 4 + extensionWords * 4 : 0)).fill(0x5a);
  header[0] = extensionWords > 0 ? 0x90 : 0x80;
  putU16(header, 2, sequenceNumber);
  putU32(header, 8, ssrc);
  if (extensionWords > 0) putU32(header, 12, 0xbede0000 + extensionWords);
  return concatBytes([header, payload]);
}

function rtcp(ssrc: number, rest: Uint8Array): Uint8Array {
  const packet = new Uint8Array(8 + rest.length);
  packet[0] = 0x80;
  packet[1] = 200;
  putU32(packet, 4, ssrc);
  packet.set(rest, 8);
  return packet;
}

function hex(result: Uint8Array | number): string {
  return typeof result === 'number' ? `error ${String(result)}` : Buffer.from(result).toString('hex');
}

const payload = fc.uint8Array({ maxLength: 1400, size: 'max' });

for (const profile of profiles) {
  t.test(`${profile}: one by one, the same bytes as by primitives, both ways`, (t) => {
    const { plain, fast } = twins(profile);
    // Over the wrap of the sequence number.
    let number = 65_400;
    fc.assert(
      fc.property(payload, fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(20), (bytes, ssrcBits, words) => {
        const ssrc = ssrcBits % 8;
        const packet = rtp(number++ & 0xffff, ssrc, bytes, words);
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

  t.test(`${profile}: batches of several keys, in place`, (t) => {
    const keys = [twins(profile), twins(profile), twins(profile)];
    const next = [0, 0, 0];
    fc.assert(
      fc.property(fc.array(fc.record({ key: fc.nat(2), payload }), { maxLength: 300 }), (packets) => {
        const queued: { key: number; job: number; expected: string }[] = [];
        for (const { key, payload: bytes } of packets) {
          const packet = rtp((next[key] = (next[key] as number) + 1), 7, bytes);
          const at = engine.open(packet.length);
          if (at < 0) break;
          engine.bytes.set(packet, at);
          const { fast, plain } = keys[key] as (typeof keys)[0];
          const job = fast.queueRtp(at, packet.length);
          t.ok(job > 0);
          queued.push({ key, job, expected: hex(plain.protectRtp(packet)) });
        }
        keys.forEach(({ fast }, key) => {
          fast.sealQueued();
          const mine = queued.filter((entry) => entry.key === key);
          let job = fast.firstQueued;
          for (const entry of mine) {
            t.equal(job, entry.job, 'in order');
            const at = engine.packetAt(job);
            t.equal(hex(engine.bytes.subarray(at, at + entry.expected.length / 2)), entry.expected);
            job = engine.next(job);
          }
          t.equal(job, -1);
          fast.clearQueue();
        });
        engine.reset();
      }),
      { numRuns: 8 },
    );
    for (const { fast } of keys) fast.close();
    t.end();
  });

  t.test(`${profile}: what was changed is refused, and what cannot be sent is`, (t) => {
    const { plain, fast } = twins(profile);
    const packet = plain.protectRtp(rtp(1, 1, new Uint8Array(50)));
    const report = plain.protectRtcp(rtcp(1, new Uint8Array(20)));
    if (isSrtpError(packet) || isSrtpError(report)) throw new Error('cannot be protected');
    for (let at = 12; at < packet.length; at++) {
      const forged = packet.slice();
      forged[at] = (forged[at] as number) ^ 0x10;
      // Some changes make the header longer than the packet.
      t.ok(isSrtpError(fast.unprotectRtp(forged)));
    }
    for (let at = 8; at < report.length; at++) {
      const forged = report.slice();
      forged[at] = (forged[at] as number) ^ 0x10;
      t.equal(fast.unprotectRtcp(forged), srtpError.unauthenticated);
    }
    t.notOk(isSrtpError(fast.unprotectRtp(packet)), 'and the real one still is read');
    t.equal(fast.unprotectRtp(packet), srtpError.replayed);
    t.notOk(isSrtpError(fast.unprotectRtcp(report)));
    t.equal(fast.protectRtp(new Uint8Array(3000).fill(0x80)), srtpError.malformed, 'longer than any packet here');
    t.equal(fast.unprotectRtp(new Uint8Array(3000).fill(0x80)), srtpError.malformed);
    t.equal(fast.protectRtcp(new Uint8Array(3000).fill(0x80)), srtpError.malformed);
    t.equal(fast.unprotectRtcp(new Uint8Array(3000).fill(0x80)), srtpError.malformed);

    const at = engine.open(20);
    engine.bytes.set(rtp(1, 9, new Uint8Array(8), 0), at);
    t.ok(fast.queueRtp(at, 20) > 0);
    t.equal(fast.queueRtp(at, 20), -srtpError.indexReused);
    t.equal(fast.queueRtp(at, 11), -srtpError.malformed);
    fast.clearQueue();
    engine.reset();
    t.throws(() => plain.queueRtp(at, 20), TypeError);
    fast.close();
    fast.close();
    t.end();
  });
}

t.test('RTCP in clear (E bit off) is authenticated', (t) => {
  const keys = material('AEAD_AES_128_GCM');
  const fast = new SrtpSession(keys, crypto, undefined, undefined, engine);
  const plain = new SrtpSession(keys, crypto);
  // A tag over the whole packet and the index word, by an encryption of nothing.
  const report = rtcp(3, new Uint8Array(24).fill(9));
  const derived = (label: number, length: number): Buffer => {
    const block = Buffer.alloc(16);
    block.set(keys.localSalt);
    block[7] = (block[7] as number) ^ label;
    const cipher = nodeCrypto.createCipheriv('aes-128-ecb', keys.localKey, null).setAutoPadding(false);
    return cipher.update(block).subarray(0, length);
  };
  const nonce = Buffer.alloc(12);
  putU32(nonce, 2, 3);
  putU32(nonce, 8, 5);
  derived(5, 12).forEach((byte, i) => (nonce[i] = (nonce[i] as number) ^ byte));
  const word = Buffer.from([0, 0, 0, 5]);
  const cipher = nodeCrypto.createCipheriv('aes-128-gcm', derived(3, 16), nonce);
  cipher.setAAD(Buffer.concat([report, word]));
  cipher.final();
  const clear = Buffer.concat([report, cipher.getAuthTag(), word]);
  t.equal(hex(plain.unprotectRtcp(clear)), hex(report));
  t.equal(hex(fast.unprotectRtcp(clear)), hex(report));
  fast.close();
  t.end();
});

t.test('a packet that was opened stays while others are protected', (t) => {
  for (const profile of profiles) {
    const { fast, plain } = twins(profile);
    const packet = rtp(1, 1, new Uint8Array(100).fill(3));
    const sealed = plain.protectRtp(packet);
    const opened = isSrtpError(sealed) ? sealed : fast.unprotectRtp(sealed);
    fast.protectRtcp(rtcp(1, new Uint8Array(80)));
    fast.protectRtp(rtp(2, 1, new Uint8Array(200)));
    t.equal(hex(opened), hex(packet));
    fast.close();
  }
  t.end();
});

t.test('rooms and keys are counted', (t) => {
  const contexts = Array.from({ length: 3 }, () => engine.takeContext());
  t.equal(new Set(contexts).size, 3);
  for (const context of contexts) engine.releaseContext(context);
  t.ok(contexts.includes(engine.takeContext()), 'used again');
  let opened = 0;
  while (engine.open(1200) >= 0) {
    engine.takeJob(1200);
    opened++;
  }
  t.ok(opened > 1000 && opened < 2048);
  engine.reset();
  t.ok(engine.open(2048) >= 0);
  t.end();
});
