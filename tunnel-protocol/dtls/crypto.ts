/** The cryptography that a DTLS session needs besides its handshake implementation, and how `node:crypto` gives it. */
import { signatureScheme } from './hello.ts';
import type { FingerprintHash } from './fingerprint.ts';
import type { DtlsAead } from './protection.ts';

export interface DtlsCrypto {
  readonly aead: DtlsAead;
  readonly digest: (hash: FingerprintHash, data: Uint8Array) => Uint8Array;
  /**
   * Whether the signature over `data` is by the key of the certificate (DER). False too for a scheme that is not one
   * of ours or does not fit the key, and for a certificate that cannot be read.
   */
  readonly verify: (scheme: number, certificate: Uint8Array, data: Uint8Array, signature: Uint8Array) => boolean;
}

interface PublicKeyLike {
  readonly asymmetricKeyType?: string | undefined;
  readonly asymmetricKeyDetails?: { readonly namedCurve?: string; readonly modulusLength?: number } | undefined;
}

interface AeadCipherLike {
  setAAD(additional: Uint8Array): unknown;
  update(data: Uint8Array): Uint8Array;
  final(): Uint8Array;
}

/** What is used of `node:crypto`, by shape, so that this folder needs no Node types. */
interface NodeCryptoLike<Key extends PublicKeyLike> {
  createHash(algorithm: string): { update(data: Uint8Array): { digest(): Uint8Array } };
  verify(algorithm: string, data: Uint8Array, key: Key, signature: Uint8Array): boolean;
  X509Certificate: new (der: Uint8Array) => { readonly publicKey: Key };
  createCipheriv(
    algorithm: 'aes-128-gcm',
    key: Uint8Array,
    nonce: Uint8Array,
  ): AeadCipherLike & { getAuthTag(): Uint8Array };
  createDecipheriv(
    algorithm: 'aes-128-gcm',
    key: Uint8Array,
    nonce: Uint8Array,
    options: { authTagLength: number },
  ): AeadCipherLike & { setAuthTag(tag: Uint8Array): unknown };
}

const tagBytes = 16;
const minRsaBits = 2048;
/** Verification time grows with the square of it. */
const maxRsaBits = 8192;

export function dtlsCryptoFrom<Key extends PublicKeyLike>(node: NodeCryptoLike<Key>): DtlsCrypto {
  return {
    aead: aeadFrom(node),
    digest: (hash, data) => node.createHash(hash.replace('-', '')).update(data).digest(),
    verify(scheme, certificate, data, signature) {
      try {
        const key = new node.X509Certificate(certificate).publicKey;
        return fitsScheme(key, scheme) && node.verify('sha256', data, key, signature);
      } catch {
        return false;
      }
    },
  };
}

function fitsScheme(key: PublicKeyLike, scheme: number): boolean {
  const details = key.asymmetricKeyDetails;
  if (scheme === signatureScheme.ecdsaSecp256r1Sha256) {
    return key.asymmetricKeyType === 'ec' && details?.namedCurve === 'prime256v1';
  }
  const bits = details?.modulusLength ?? 0;
  const isFit = key.asymmetricKeyType === 'rsa' && bits >= minRsaBits && bits <= maxRsaBits;
  return scheme === signatureScheme.rsaPkcs1Sha256 && isFit;
}

function aeadFrom<Key extends PublicKeyLike>(node: NodeCryptoLike<Key>): DtlsAead {
  return {
    seal(key, nonce, additional, plaintext) {
      const cipher = node.createCipheriv('aes-128-gcm', key, nonce);
      cipher.setAAD(additional);
      const ciphertext = cipher.update(plaintext);
      cipher.final();
      const sealed = new Uint8Array(ciphertext.length + tagBytes);
      sealed.set(ciphertext);
      sealed.set(cipher.getAuthTag(), ciphertext.length);
      return sealed;
    },
    open(key, nonce, additional, ciphertext) {
      const end = ciphertext.length - tagBytes;
      const decipher = node.createDecipheriv('aes-128-gcm', key, nonce, { authTagLength: tagBytes });
      decipher.setAAD(additional);
      decipher.setAuthTag(ciphertext.subarray(end));
      const plaintext = decipher.update(ciphertext.subarray(0, end));
      try {
        decipher.final();
      } catch {
        return null;
      }
      return plaintext;
    },
  };
}
