/**
 * What werift does of a handshake in JavaScript or anew for every session, done by `node:crypto` and once: X25519, whose
 * products took 5 ms of every join, and reading the certificate and its key.
 */
import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  sign,
  X509Certificate,
  type KeyObject,
} from 'node:crypto';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { DtlsServer } from 'werift';
import type { DtlsIdentity } from '../../tunnel-protocol/index.ts';

/** What of werift's X25519 (the package tweetnacl) is called. */
export interface Curve25519 {
  scalarMult: (secret: Uint8Array, peer: Uint8Array) => Uint8Array;
  readonly box: { keyPair: () => { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array } };
}

/** Of RFC 8410 section 7: all of PKCS #8 but the key. */
const secretPrefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
/** By the buffers beneath their bytes, which is what werift keeps: to read a key from its bytes again costs ten handshakes' secrets. */
const keys = new WeakMap<ArrayBufferLike, KeyObject>();

export const nativeCurve25519: Curve25519 = {
  /** Throws for a point of low order, which is refused before. */
  scalarMult: (secret, peer) =>
    diffieHellman({
      privateKey: keys.get(secret.buffer) ?? secretKey(secret),
      // As a JSON Web Key (RFC 8037), which is read at a seventh of the price of DER.
      publicKey: createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: base64url(peer) }, format: 'jwk' }),
    }),
  box: {
    keyPair: () => {
      const { privateKey } = generateKeyPairSync('x25519');
      const { x = '', d = '' } = privateKey.export({ format: 'jwk' });
      // werift takes the buffers beneath, so nothing else may be in them.
      const secretBytes = new Uint8Array(Buffer.from(d, 'base64url'));
      keys.set(secretBytes.buffer, privateKey);
      return { publicKey: new Uint8Array(Buffer.from(x, 'base64url')), secretKey: secretBytes };
    },
  },
};

function secretKey(secret: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([secretPrefix, secret]), format: 'der', type: 'pkcs8' });
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** The package that werift itself imports. */
export function weriftCurve25519(): Curve25519 {
  return createRequire(fileURLToPath(import.meta.resolve('werift')))('tweetnacl') as Curve25519;
}

/** For all handshakes of this process, from now on. Idempotent. */
export function useNativeCurve25519(): void {
  const theirs = weriftCurve25519();
  theirs.scalarMult = nativeCurve25519.scalarMult;
  theirs.box.keyPair = nativeCurve25519.box.keyPair;
}

interface ReadIdentity {
  readonly certificate: Buffer;
  readonly key: { sign(data: Buffer, hash: string): Buffer };
}

const identities = new WeakMap<DtlsIdentity, ReadIdentity>();

/** Instead of giving werift the texts of certificate and key. */
export function useIdentity({ cipher }: DtlsServer, identity: DtlsIdentity): void {
  let read = identities.get(identity);
  if (read === undefined) {
    const key = createPrivateKey(identity.keyPem);
    read = {
      certificate: new X509Certificate(identity.certPem).raw,
      key: { sign: (data, hash) => sign(hash, data, key) },
    };
    identities.set(identity, read);
  }
  cipher.localCert = read.certificate;
  // It signs with it, and does nothing else.
  cipher.localPrivateKey = read.key as unknown as typeof cipher.localPrivateKey;
  cipher.signatureHashAlgorithm = { hash: 4, signature: 3 };
}
