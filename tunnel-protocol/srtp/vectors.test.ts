import * as nodeCrypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { CounterStream } from './counter-cipher.ts';
import { srtpCryptoFrom } from './crypto.ts';
import { GcmCipher } from './gcm-cipher.ts';
import { deriveSrtpKey, srtpLabel } from './key-derivation.ts';
import { PacketSlab } from './packet-slab.ts';
import { SrtpSession } from './session.ts';

/** Hex strings and numbers by name, RFC by RFC. */
type Vectors = Record<string, Record<string, string | number>>;
const file = new URL('../../../tunnel-protocol/srtp/testdata/vectors.json', import.meta.url);
const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vectors;
const crypto = srtpCryptoFrom(nodeCrypto);

function vector(name: string): Record<string, string | number> {
  const found = vectors[name];
  if (found === undefined) throw new Error(`no vector ${name}`);
  return found;
}

function bytes(text: string | number | undefined): Uint8Array {
  return new Uint8Array(Buffer.from(lower(text), 'hex'));
}

function lower(text: string | number | undefined): string {
  return String(text).toLowerCase();
}

function hex(data: unknown): string {
  return data instanceof Uint8Array ? Buffer.from(data).toString('hex') : String(data);
}

void t.test('RFC 3711 appendix B.2: AES-CM keystream', (t) => {
  const v = vector('rfc3711-b2');
  const stream = new CounterStream(crypto.aesBlocks(bytes(v['key'])), bytes(v['salt']));
  const length = Number(v['bytes']);
  const packet = new Uint8Array(length);
  stream.apply(packet, 0, length, 0, 0);
  t.equal(hex(packet.subarray(0, 48)), lower(v['first']));
  t.equal(hex(packet.subarray(length - 48)), lower(v['last']));
  t.end();
});

void t.test('RFC 3711 appendix B.3: key derivation', (t) => {
  const v = vector('rfc3711-b3');
  const derive = (label: 0 | 1 | 2, length: number): string =>
    hex(deriveSrtpKey(crypto, bytes(v['masterKey']), bytes(v['masterSalt']), label, length));
  t.equal(derive(srtpLabel.rtpEncryption, 16), lower(v['cipherKey']));
  t.equal(derive(srtpLabel.rtpSalt, 14), lower(v['cipherSalt']));
  t.equal(derive(srtpLabel.rtpAuthentication, 94), lower(v['authKey']));
  t.end();
});

void t.test("libsrtp's validation packets for AES_CM_128_HMAC_SHA1_80", (t) => {
  const v = vector('libsrtp-aes-cm');
  const key = bytes(v['masterKey']);
  const salt = bytes(v['masterSalt']);
  const session = new SrtpSession(
    { profile: 'AES_CM_128_HMAC_SHA1_80', localKey: key, localSalt: salt, remoteKey: key, remoteSalt: salt },
    crypto,
  );
  t.equal(hex(session.protectRtp(bytes(v['rtp']))), v['srtp']);
  t.equal(hex(session.unprotectRtp(bytes(v['srtp']))), v['rtp']);
  // Theirs is a second packet: index 1.
  session.protectRtcp(bytes(v['rtcp']));
  t.equal(hex(session.protectRtcp(bytes(v['rtcp']))), v['srtcp']);
  t.equal(hex(session.unprotectRtcp(bytes(v['srtcp']))), v['rtcp']);
  t.end();
});

void t.test('RFC 7714 sections 16.1 and 17: AEAD_AES_128_GCM', (t) => {
  const v = vector('rfc7714');
  const key = bytes(v['key']);
  const salt = bytes(v['salt']);
  const none = new Uint8Array(20);
  const cipher = new GcmCipher(
    crypto,
    { rtpKey: key, rtpSalt: salt, rtpAuthentication: none, rtcpKey: key, rtcpSalt: salt, rtcpAuthentication: none },
    new PacketSlab(),
  );
  t.equal(hex(cipher.sealRtp(bytes(v['rtp']), 12, 0xf17b)), v['srtp'], '16.1.1');
  t.equal(hex(cipher.openRtp(bytes(v['srtp']), 12, 0xf17b)), v['rtp'], '16.1.2');
  t.equal(hex(cipher.sealRtcp(bytes(v['rtcp']), Number(v['srtcpIndex']))), v['srtcp'], '17.1');
  t.equal(hex(cipher.openRtcp(bytes(v['srtcp']))), v['rtcp']);
  t.equal(hex(cipher.openRtcp(bytes(v['srtcpTagOnly']))), v['rtcp'], '17.3, not encrypted');
  const forged = bytes(v['srtcpTagOnly']);
  forged[20] = 1;
  t.equal(cipher.openRtcp(forged), null);
  t.end();
});
