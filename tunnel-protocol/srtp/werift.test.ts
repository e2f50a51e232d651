import * as nodeCrypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { RtpPacket, SrtcpSession, SrtpSession as WeriftSrtpSession } from 'werift';
import { srtpCryptoFrom } from './crypto.ts';
import { SrtpEngine, type SrtpWasm } from './engine.ts';
import type { SrtpProfile } from './keys.ts';
import { SrtpSession } from './session.ts';
import { putU16, putU32 } from '../bytes.ts';

/** Profile numbers on the wire (RFC 5764 section 4.1.2, RFC 7714 section 14.2). */
const profileNumbers: Record<SrtpProfile, 1 | 7> = { AES_CM_128_HMAC_SHA1_80: 1, AEAD_AES_128_GCM: 7 };
const crypto = srtpCryptoFrom(nodeCrypto);
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: object } }>;
};
const file = readFileSync(new URL('./engine.wasm', import.meta.url));
const engine = new SrtpEngine((await WebAssembly.instantiate(file, {})).instance.exports as SrtpWasm);

function peers(
  profile: SrtpProfile,
  engine: SrtpEngine | null,
): { ours: SrtpSession; theirs: WeriftSrtpSession; theirControl: SrtcpSession } {
  const saltBytes = profile === 'AEAD_AES_128_GCM' ? 12 : 14;
  const keys = {
    localMasterKey: nodeCrypto.randomBytes(16),
    localMasterSalt: nodeCrypto.randomBytes(saltBytes),
    remoteMasterKey: nodeCrypto.randomBytes(16),
    remoteMasterSalt: nodeCrypto.randomBytes(saltBytes),
  };
  const config = { keys, profile: profileNumbers[profile] };
  return {
    // Our sending keys are theirs too, so that the bytes can be compared; what they send, we receive.
    ours: new SrtpSession(
      {
        profile,
        localKey: keys.localMasterKey,
        localSalt: keys.localMasterSalt,
        remoteKey: keys.localMasterKey,
        remoteSalt: keys.localMasterSalt,
      },
      crypto,
      undefined,
      undefined,
      engine,
    ),
    theirs: new WeriftSrtpSession(config),
    theirControl: new SrtcpSession(config),
  };
}

function rtp(sequenceNumber: number, ssrc: number, payload: Uint8Array): Buffer {
  const packet = Buffer.alloc(12 + payload.length);
  packet[0] = 0x80;
  packet[1] = 0x80 | 111;
  putU16(packet, 2, sequenceNumber);
  putU32(packet, 4, 0xdeadbeef);
  putU32(packet, 8, ssrc);
  packet.set(payload, 12);
  return packet;
}

function hex(result: Uint8Array | number): string {
  return typeof result === 'number' ? `error ${String(result)}` : Buffer.from(result).toString('hex');
}

const ways = (Object.keys(profileNumbers) as SrtpProfile[]).flatMap((profile) => [
  { profile, by: 'primitives', chosen: null },
  { profile, by: 'WebAssembly', chosen: engine },
]);
for (const { profile, by, chosen } of ways) {
  void t.test(`${profile} by ${by}: the same bytes as werift`, (t) => {
    const { ours, theirs } = peers(profile, chosen);
    let sequenceNumber = 65_000;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1300, size: 'max' }), (payload) => {
        // Steps of 7 cross the sequence wrap on the way, where werift follows too.
        sequenceNumber = (sequenceNumber + 7) & 0xffff;
        const plain = rtp(sequenceNumber, 0x80000001, payload);
        const parsed = RtpPacket.deSerialize(plain);
        const expected = new Uint8Array(theirs.encrypt(parsed.payload, parsed.header));
        t.equal(hex(ours.protectRtp(plain)), hex(expected));
        t.equal(hex(ours.unprotectRtp(expected)), hex(plain));
      }),
      { numRuns: 120 },
    );
    t.end();
  });

  void t.test(`${profile} by ${by}: the same SRTCP as werift`, (t) => {
    const { ours, theirControl } = peers(profile, chosen);
    const plain = Buffer.alloc(52, 0xab);
    plain[0] = 0x81;
    plain[1] = 200;
    putU16(plain, 2, 12);
    // Ours begins with index 0 (RFC 3711 section 3.4), theirs with 1.
    ours.protectRtcp(plain);
    for (let i = 0; i < 10; i++) {
      const expected = new Uint8Array(theirControl.encrypt(plain));
      t.equal(hex(ours.protectRtcp(plain)), hex(expected));
      t.equal(hex(ours.unprotectRtcp(expected)), hex(plain));
    }
    t.end();
  });
}
