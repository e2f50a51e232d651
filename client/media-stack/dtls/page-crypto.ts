/** The page's primitives: Web Crypto where there is time, code of our own kind where a packet cannot wait. */
import { ecb, gcm } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, signatureScheme } from '../../../tunnel-protocol/index.ts';
import type { ClientCrypto, DtlsAead, HmacSha1, SrtpCrypto } from '../../../tunnel-protocol/index.ts';
import { ecdsaSha256, plainSignature, publicKeyInfoOf, unshared } from './certificate.ts';
import type { Subtle } from './certificate.ts';

const hashes = { 'sha-256': sha256, 'sha-384': sha384, 'sha-512': sha512 };
const tagBytes = 16;

export function pageClientCrypto(subtle: Subtle): ClientCrypto {
  return {
    digest: (hash, data) => hashes[hash](data),
    async verify(scheme, certificate, data, signature) {
      const info = publicKeyInfoOf(certificate);
      const plain = plainSignature(signature);
      if (scheme !== signatureScheme.ecdsaSecp256r1Sha256 || info === null || plain === null) return false;
      try {
        const curve = { name: 'ECDSA', namedCurve: 'P-256' } as const;
        const key = await subtle.importKey('spki', unshared(info), curve, false, ['verify']);
        return await subtle.verify(ecdsaSha256, key, unshared(plain), unshared(data));
      } catch {
        return false;
      }
    },
  };
}

/** For records of the handshake and the few after it. */
export const pageAead: DtlsAead = {
  seal: (key, nonce, additional, plaintext) => gcm(key, nonce, additional).encrypt(plaintext),
  open(key, nonce, additional, ciphertext) {
    try {
      return gcm(key, nonce, additional).decrypt(ciphertext);
    } catch {
      return null;
    }
  },
};

export const pageHmacSha1: HmacSha1 = (key, data) => hmac(sha1, key, data);

export const pageSrtpCrypto: SrtpCrypto = {
  aesBlocks: (key) => (blocks) => ecb(key, { disablePadding: true }).encrypt(blocks),
  aesGcm: (key) => ({
    seal(nonce, associated, plain, target, at) {
      target.set(gcm(key, nonce, associated).encrypt(plain), at);
    },
    open(nonce, associated, sealed, tag) {
      const whole = new Uint8Array(sealed.length + tagBytes);
      whole.set(sealed);
      whole.set(tag, sealed.length);
      try {
        return gcm(key, nonce, associated).decrypt(whole);
      } catch {
        return null;
      }
    },
  }),
  hmacSha1: (key) => (first, second) => hmac(sha1, key, concatBytes([first, second])),
};
