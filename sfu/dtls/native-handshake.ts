/**
 * What werift does of a handshake in JavaScript or anew for every session, done by `node:crypto` and once: X25519, whose
 * products took 5 ms of every join, and reading the certificate and its key.
 */
import { createPrivateKey, createPublicKey, diffieHellman, randomBytes, sign, X509Certificate } from 'node:crypto';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { DtlsServer } from 'werift';
import type { DtlsIdentity } from '../../tunnel-protocol/index.ts';

/** What of werift's X25519 (the package tweetnacl) is called. */
export interface Curve25519 {
  scalarMult: (secret: Uint8Array, peer: Uint8Array) => Uint8Array;
  readonly box: { keyPair: () => { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array } };
}

/** Of RFC 8410 section 7 and section 4: all of PKCS #8 and of SubjectPublicKeyInfo but the key. */
const secretPrefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
const publicPrefix = Buffer.from('302a300506032b656e032100', 'hex');
const keyBytes = 32;

export const nativeCurve25519: Curve25519 = {
  /** Throws for a point of low order, which is refused before. */
  scalarMult: (secret, peer) =>
    diffieHellman({
      privateKey: secretKey(secret),
      publicKey: createPublicKey({ key: Buffer.concat([publicPrefix, peer]), format: 'der', type: 'spki' }),
    }),
  box: {
    keyPair: () => {
      const secret = randomBytes(keyBytes);
      const spki = createPublicKey(secretKey(secret)).export({ format: 'der', type: 'spki' });
      // werift takes the buffers beneath, so nothing else may be in them.
      return { publicKey: new Uint8Array(spki.subarray(-keyBytes)), secretKey: new Uint8Array(secret) };
    },
  },
};

function secretKey(secret: Uint8Array): ReturnType<typeof createPrivateKey> {
  return createPrivateKey({ key: Buffer.concat([secretPrefix, secret]), format: 'der', type: 'pkcs8' });
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
