import * as nodeCrypto from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { srtpCryptoFrom } from './crypto.ts';
import { isSrtpError, srtpError, srtpErrorName, type SrtpError } from './errors.ts';
import type { SrtpKeyMaterial, SrtpProfile } from './keys.ts';
import { SrtpSession, srtpLimits, type SrtpLimits } from './session.ts';
import { concatBytes, putU16, putU32 } from '../bytes.ts';

const crypto = srtpCryptoFrom(nodeCrypto);
const profiles: readonly SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];

function pair(
  profile: SrtpProfile,
  receiverLimits: SrtpLimits = srtpLimits,
  senderLimits: SrtpLimits = srtpLimits,
): { sender: SrtpSession; receiver: SrtpSession } {
  const salt = profile === 'AEAD_AES_128_GCM' ? 12 : 14;
  const keys: SrtpKeyMaterial = {
    profile,
    localKey: filled(16, 1),
    localSalt: filled(salt, 50),
    remoteKey: filled(16, 100),
    remoteSalt: filled(salt, 150),
  };
  const mirrored: SrtpKeyMaterial = {
    profile,
    localKey: keys.remoteKey,
    localSalt: keys.remoteSalt,
    remoteKey: keys.localKey,
    remoteSalt: keys.localSalt,
  };
  return {
    sender: new SrtpSession(keys, crypto, undefined, senderLimits),
    receiver: new SrtpSession(mirrored, crypto, undefined, receiverLimits),
  };
}

function filled(length: number, from: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => from + i);
}

/** One CSRC and a header extension of one word, so that the whole of a header is exercised. */
function rtp(sequenceNumber: number, ssrc = 0xcafebabe, payload = filled(100, 7)): Uint8Array {
  const header = new Uint8Array(24);
  header[0] = 0x91;
  header[1] = 96;
  putU16(header, 2, sequenceNumber);
  putU32(header, 4, sequenceNumber * 960);
  putU32(header, 8, ssrc);
  putU32(header, 12, 0x01020304);
  putU32(header, 16, 0xbede0001);
  putU32(header, 20, 0x10ff0000);
  return concatBytes([header, payload]);
}

function rtcp(ssrc = 0xcafebabe): Uint8Array {
  const packet = new Uint8Array(28);
  packet[0] = 0x80;
  packet[1] = 200;
  putU16(packet, 2, 6);
  putU32(packet, 4, ssrc);
  return packet;
}

function bytesOf(result: Uint8Array | SrtpError): Uint8Array {
  if (isSrtpError(result)) throw new Error(srtpErrorName(result));
  return result;
}

function flipped(packet: Uint8Array, at: number): Uint8Array {
  const copy = packet.slice();
  copy[at] = (copy[at] as number) ^ 0x01;
  return copy;
}

for (const profile of profiles) {
  void t.test(profile, (t) => {
    void t.test('round trip, both ways, input untouched', (t) => {
      const { sender, receiver } = pair(profile);
      for (const payload of [new Uint8Array(0), filled(1, 9), filled(16, 9), filled(1200, 9), filled(5000, 9)]) {
        const plain = rtp(payload.length, 1, payload);
        const before = plain.slice();
        const sealed = bytesOf(sender.protectRtp(plain));
        const kept = sealed.slice();
        t.same(plain, before);
        t.same(bytesOf(receiver.unprotectRtp(sealed)), plain);
        t.same(sealed, kept);
        t.same(sealed.subarray(0, 24), plain.subarray(0, 24), 'the header stays in clear');
      }
      t.same(bytesOf(receiver.unprotectRtcp(bytesOf(sender.protectRtcp(rtcp())))), rtcp());
      t.same(bytesOf(sender.unprotectRtp(bytesOf(receiver.protectRtp(rtp(1))))), rtp(1));
      t.same(bytesOf(sender.unprotectRtcp(bytesOf(receiver.protectRtcp(rtcp())))), rtcp());
      t.match(sender.counters, { protectedRtp: 5, protectedRtcp: 1, unprotectedRtp: 1, unprotectedRtcp: 1 });
      t.end();
    });

    void t.test('results do not overlap', (t) => {
      const { sender } = pair(profile);
      const results = Array.from({ length: 50 }, (_, i) => bytesOf(sender.protectRtp(rtp(i))));
      const copies = results.map((result) => result.slice());
      for (const result of results.slice(0, 49)) result.fill(0);
      t.same(results[49], copies[49]);
      t.end();
    });

    void t.test('a replay is refused and counted', (t) => {
      const { sender, receiver } = pair(profile);
      const sealed = bytesOf(sender.protectRtp(rtp(500)));
      t.type(receiver.unprotectRtp(sealed), Uint8Array);
      t.equal(receiver.unprotectRtp(sealed), srtpError.replayed);
      const control = bytesOf(sender.protectRtcp(rtcp()));
      t.type(receiver.unprotectRtcp(control), Uint8Array);
      t.equal(receiver.unprotectRtcp(control), srtpError.replayed);
      t.equal(receiver.counters.replayed, 2);
      t.end();
    });

    void t.test('a window of 128: late packets pass, older ones do not', (t) => {
      const { sender, receiver } = pair(profile);
      const sealed = Array.from({ length: 200 }, (_, i) => bytesOf(sender.protectRtp(rtp(i))));
      receiver.unprotectRtp(sealed[199] as Uint8Array);
      t.type(receiver.unprotectRtp(sealed[72] as Uint8Array), Uint8Array);
      t.equal(receiver.unprotectRtp(sealed[71] as Uint8Array), srtpError.tooOld);
      t.equal(receiver.unprotectRtp(sealed[72] as Uint8Array), srtpError.replayed);
      t.equal(receiver.counters.tooOld, 1);
      const control = Array.from({ length: 130 }, () => bytesOf(sender.protectRtcp(rtcp())));
      receiver.unprotectRtcp(control[129] as Uint8Array);
      t.equal(receiver.unprotectRtcp(control[1] as Uint8Array), srtpError.tooOld);
      t.type(receiver.unprotectRtcp(control[2] as Uint8Array), Uint8Array);
      t.end();
    });

    void t.test('a gap of 155 packets across the sequence wrap, and stragglers from before it', (t) => {
      const { sender, receiver } = pair(profile);
      const first = bytesOf(sender.protectRtp(rtp(65_500)));
      const straggler = bytesOf(sender.protectRtp(rtp(65_530)));
      const beyond = bytesOf(sender.protectRtp(rtp(119)));
      const next = bytesOf(sender.protectRtp(rtp(120)));
      t.same(bytesOf(receiver.unprotectRtp(first)), rtp(65_500));
      t.same(bytesOf(receiver.unprotectRtp(beyond)), rtp(119));
      t.same(bytesOf(receiver.unprotectRtp(straggler)), rtp(65_530));
      t.same(bytesOf(receiver.unprotectRtp(next)), rtp(120));
      t.equal(receiver.unprotectRtp(beyond), srtpError.replayed);
      t.end();
    });

    void t.test('many wraps', (t) => {
      const { sender, receiver } = pair(profile);
      for (let i = 0; i < 20; i++) {
        const plain = rtp((i * 20_000) & 0xffff);
        t.same(bytesOf(receiver.unprotectRtp(bytesOf(sender.protectRtp(plain)))), plain);
      }
      t.end();
    });

    void t.test('one changed bit anywhere is refused', (t) => {
      const { sender, receiver } = pair(profile);
      const sealed = bytesOf(sender.protectRtp(rtp(3)));
      const control = bytesOf(sender.protectRtcp(rtcp()));
      for (let at = 0; at < sealed.length; at++) t.type(receiver.unprotectRtp(flipped(sealed, at)), 'number');
      for (let at = 0; at < control.length; at++) t.type(receiver.unprotectRtcp(flipped(control, at)), 'number');
      t.equal(receiver.unprotectRtp(flipped(sealed, sealed.length - 1)), srtpError.unauthenticated, 'tag');
      t.equal(receiver.unprotectRtp(flipped(sealed, 1)), srtpError.unauthenticated, 'header');
      t.equal(receiver.unprotectRtp(flipped(sealed, 30)), srtpError.unauthenticated, 'payload');
      t.equal(receiver.counters.unprotectedRtp, 0);
      t.type(receiver.unprotectRtp(sealed), Uint8Array, 'and the true one still passes');
      t.type(receiver.unprotectRtcp(control), Uint8Array);
      t.end();
    });

    void t.test('every truncation is refused', (t) => {
      const { sender, receiver } = pair(profile);
      const sealed = bytesOf(sender.protectRtp(rtp(3)));
      const control = bytesOf(sender.protectRtcp(rtcp()));
      for (let n = 0; n < sealed.length; n++) t.type(receiver.unprotectRtp(sealed.subarray(0, n)), 'number');
      for (let n = 0; n < control.length; n++) t.type(receiver.unprotectRtcp(control.subarray(0, n)), 'number');
      t.equal(receiver.unprotectRtp(new Uint8Array(0)), srtpError.malformed);
      t.equal(sender.protectRtp(rtp(4).subarray(0, 11)), srtpError.malformed);
      t.equal(sender.protectRtcp(rtcp().subarray(0, 7)), srtpError.malformed);
      t.end();
    });

    void t.test('random bytes never pass and never throw', (t) => {
      const { sender, receiver } = pair(profile);
      receiver.unprotectRtp(bytesOf(sender.protectRtp(rtp(3))));
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200, size: 'max' }), fc.boolean(), (random, versioned) => {
          if (versioned && random.length > 0) random[0] = 0x80 | ((random[0] as number) & 0x3f);
          return isSrtpError(receiver.unprotectRtp(random)) && isSrtpError(receiver.unprotectRtcp(random));
        }),
        { numRuns: 500 },
      );
      t.end();
    });

    void t.test('forged packets leave no state; beyond the bound a new SSRC is refused', (t) => {
      const { sender, receiver } = pair(profile, { ...srtpLimits, sources: 2 });
      for (let ssrc = 10; ssrc < 20; ssrc++) {
        const forged = flipped(bytesOf(sender.protectRtp(rtp(1, ssrc))), 40);
        t.equal(receiver.unprotectRtp(forged), srtpError.unauthenticated);
        const control = flipped(bytesOf(sender.protectRtcp(rtcp(ssrc))), 20);
        t.equal(receiver.unprotectRtcp(control), srtpError.unauthenticated);
      }
      for (const ssrc of [1, 0xffff_ffff]) {
        t.type(receiver.unprotectRtp(bytesOf(sender.protectRtp(rtp(1, ssrc)))), Uint8Array);
        t.type(receiver.unprotectRtcp(bytesOf(sender.protectRtcp(rtcp(ssrc)))), Uint8Array);
      }
      t.equal(receiver.unprotectRtp(bytesOf(sender.protectRtp(rtp(1, 3)))), srtpError.tooManySources);
      t.equal(receiver.unprotectRtcp(bytesOf(sender.protectRtcp(rtcp(3)))), srtpError.tooManySources);
      t.type(receiver.unprotectRtp(bytesOf(sender.protectRtp(rtp(2, 1)))), Uint8Array, 'known ones go on');
      t.match(receiver.counters, { tooManySources: 2, unauthenticated: 20 });
      t.end();
    });

    void t.test('a forged first packet does not move the index', (t) => {
      const { sender, receiver } = pair(profile);
      const sealed = bytesOf(sender.protectRtp(rtp(3)));
      const forged = sealed.slice();
      putU16(forged, 2, 0xfff0);
      t.equal(receiver.unprotectRtp(forged), srtpError.unauthenticated);
      t.type(receiver.unprotectRtp(sealed), Uint8Array);
      t.end();
    });

    void t.test('no index is used twice for sending', (t) => {
      const { sender } = pair(profile);
      sender.protectRtp(rtp(5000));
      t.type(sender.protectRtp(rtp(4000)), Uint8Array);
      t.equal(sender.protectRtp(rtp(5000)), srtpError.indexReused);
      t.equal(sender.protectRtp(rtp(3000)), srtpError.indexReused, 'so old that it cannot be told');
      t.type(sender.protectRtp(rtp(5000, 2)), Uint8Array, 'another SSRC is another matter');
      t.equal(sender.counters.indexReused, 2);
      t.end();
    });

    void t.test("the key's lifetime", (t) => {
      const limits = { sources: 9, rtpPackets: 65_540, rtcpPackets: 2 };
      const { sender, receiver } = pair(profile, limits);
      const few = pair(profile, srtpLimits, { ...limits, rtpPackets: 3 }).sender;
      for (const ssrc of [1, 2, 3]) t.type(few.protectRtp(rtp(0, ssrc)), Uint8Array);
      t.equal(few.protectRtp(rtp(0, 4)), srtpError.keyExhausted, 'packets of all SSRCs are counted');
      t.type(few.protectRtcp(rtcp(1)), Uint8Array);
      t.type(few.protectRtcp(rtcp(2)), Uint8Array);
      t.equal(few.protectRtcp(rtcp(3)), srtpError.keyExhausted);

      receiver.unprotectRtp(bytesOf(sender.protectRtp(rtp(65_535))));
      t.type(receiver.unprotectRtp(bytesOf(sender.protectRtp(rtp(3)))), Uint8Array);
      t.equal(receiver.unprotectRtp(bytesOf(sender.protectRtp(rtp(4)))), srtpError.keyExhausted, 'no index beyond');
      t.equal(srtpLimits.rtpPackets, 2 ** 48);
      t.equal(srtpLimits.rtcpPackets, 2 ** 31);
      t.end();
    });
    t.end();
  });
}

void t.test('keys of a wrong length are a misuse', (t) => {
  const keys: SrtpKeyMaterial = {
    profile: 'AEAD_AES_128_GCM',
    localKey: filled(16, 0),
    localSalt: filled(12, 0),
    remoteKey: filled(16, 0),
    remoteSalt: filled(12, 0),
  };
  t.throws(() => new SrtpSession({ ...keys, localKey: filled(15, 0) }, crypto), RangeError);
  t.throws(() => new SrtpSession({ ...keys, remoteSalt: filled(14, 0) }, crypto), RangeError);
  t.end();
});
