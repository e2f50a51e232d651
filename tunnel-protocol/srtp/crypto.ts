/**
 * The primitives that SRTP needs, bound to a key. Input is borrowed, results belong to the caller.
 * What they throw is a misuse (a key of a wrong length), never a matter of the data.
 */
export interface SrtpCrypto {
  /** AES-128 of whole 16-byte blocks, each by itself (ECB, no padding). */
  aesBlocks(key: Uint8Array): (blocks: Uint8Array) => Uint8Array;
  /** AES-128-GCM with a 12-byte nonce and a 16-byte tag. */
  aesGcm(key: Uint8Array): AesGcm;
  /** HMAC-SHA1 (20 bytes) of a message that comes in two parts. */
  hmacSha1(key: Uint8Array): (first: Uint8Array, second: Uint8Array) => Uint8Array;
}

export interface AesGcm {
  /** Writes ciphertext and tag to `target` at `at`: 16 bytes more than `plain`. */
  seal(nonce: Uint8Array, associated: Uint8Array, plain: Uint8Array, target: Uint8Array, at: number): void;
  /** The plain bytes, or null when the tag does not match. */
  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array, tag: Uint8Array): Uint8Array | null;
}

interface Cipher {
  update(data: Uint8Array): Uint8Array;
  final(): Uint8Array;
}
interface BlockCipher extends Cipher {
  setAutoPadding(on: boolean): unknown;
}
interface GcmCipher extends Cipher {
  setAAD(associated: Uint8Array): unknown;
  getAuthTag(): Uint8Array;
}
interface GcmDecipher extends Cipher {
  setAAD(associated: Uint8Array): unknown;
  setAuthTag(tag: Uint8Array): unknown;
}
interface Hmac {
  update(data: Uint8Array): Hmac;
  digest(): Uint8Array;
}

/** As much of `node:crypto` as SRTP needs. */
export interface SrtpNodeCrypto {
  createCipheriv(algorithm: 'aes-128-ecb', key: Uint8Array, iv: null): BlockCipher;
  createCipheriv(algorithm: 'aes-128-gcm', key: Uint8Array, iv: Uint8Array): GcmCipher;
  createDecipheriv(
    algorithm: 'aes-128-gcm',
    key: Uint8Array,
    iv: Uint8Array,
    options: { authTagLength: number },
  ): GcmDecipher;
  createHmac(algorithm: 'sha1', key: Uint8Array): Hmac;
}

/** Builds the primitives from `node:crypto`, or from anything shaped like it. */
export function srtpCryptoFrom(node: SrtpNodeCrypto): SrtpCrypto {
  return {
    aesBlocks(key) {
      // One cipher object for the life of the key: making one costs more than a packet's blocks.
      const cipher = node.createCipheriv('aes-128-ecb', key, null);
      cipher.setAutoPadding(false);
      return (blocks) => cipher.update(blocks);
    },

    aesGcm(key) {
      return {
        seal(nonce, associated, plain, target, at) {
          const cipher = node.createCipheriv('aes-128-gcm', key, nonce);
          cipher.setAAD(associated);
          target.set(cipher.update(plain), at);
          cipher.final();
          target.set(cipher.getAuthTag(), at + plain.length);
        },
        open(nonce, associated, sealed, tag) {
          const decipher = node.createDecipheriv('aes-128-gcm', key, nonce, gcmOptions);
          decipher.setAAD(associated);
          decipher.setAuthTag(tag);
          const plain = decipher.update(sealed);
          try {
            decipher.final();
          } catch {
            // The only way in which node:crypto tells a wrong tag.
            return null;
          }
          return plain;
        },
      };
    },

    hmacSha1(key) {
      return (first, second) => node.createHmac('sha1', key).update(first).update(second).digest();
    },
  };
}

const gcmOptions = { authTagLength: 16 };
