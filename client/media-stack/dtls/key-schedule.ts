/** Keys of DTLS 1.2 with SHA-256: RFC 5246 sections 5, 6.3 and 8.1, RFC 7627, RFC 5705, RFC 5764. */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes } from '../../../tunnel-protocol/index.ts';
import type { SrtpKeyMaterial } from '../../../tunnel-protocol/index.ts';

const utf8 = new TextEncoder();
const masterSecretBytes = 48;
const verifyDataBytes = 12;
const keyBytes = 16;
const implicitNonceBytes = 4;

function prf(secret: Uint8Array, label: string, seed: Uint8Array, length: number): Uint8Array {
  const labelled = concatBytes([utf8.encode(label), seed]);
  const output: Uint8Array[] = [];
  let a = labelled;
  for (let made = 0; made < length; made += sha256.outputLen) {
    a = hmac(sha256, secret, a);
    output.push(hmac(sha256, secret, concatBytes([a, labelled])));
  }
  return concatBytes(output).subarray(0, length);
}

/** RFC 7627 section 4: over the transcript up to and with ClientKeyExchange. */
export function masterSecretOf(sharedSecret: Uint8Array, transcript: Uint8Array): Uint8Array {
  return prf(sharedSecret, 'extended master secret', sha256(transcript), masterSecretBytes);
}

export function verifyDataOf(masterSecret: Uint8Array, role: 'client' | 'server', transcript: Uint8Array): Uint8Array {
  return prf(masterSecret, `${role} finished`, sha256(transcript), verifyDataBytes);
}

export interface DirectionKeys {
  readonly key: Uint8Array;
  readonly implicitNonce: Uint8Array;
}

export function recordKeysOf(
  masterSecret: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): { readonly client: DirectionKeys; readonly server: DirectionKeys } {
  const length = 2 * (keyBytes + implicitNonceBytes);
  const block = prf(masterSecret, 'key expansion', concatBytes([serverRandom, clientRandom]), length);
  const take = takerOf(block);
  const keys = [take(keyBytes), take(keyBytes)] as const;
  const nonces = [take(implicitNonceBytes), take(implicitNonceBytes)] as const;
  return {
    client: { key: keys[0], implicitNonce: nonces[0] },
    server: { key: keys[1], implicitNonce: nonces[1] },
  };
}

/** Of the client. */
export function srtpKeysOf(
  masterSecret: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
  profile: SrtpKeyMaterial['profile'],
): SrtpKeyMaterial {
  const saltBytes = profile === 'AEAD_AES_128_GCM' ? 12 : 14;
  const seed = concatBytes([clientRandom, serverRandom]);
  const take = takerOf(prf(masterSecret, 'EXTRACTOR-dtls_srtp', seed, 2 * (keyBytes + saltBytes)));
  const [localKey, remoteKey, localSalt, remoteSalt] = [
    take(keyBytes),
    take(keyBytes),
    take(saltBytes),
    take(saltBytes),
  ];
  return { profile, localKey, localSalt, remoteKey, remoteSalt };
}

function takerOf(block: Uint8Array): (length: number) => Uint8Array {
  let at = 0;
  return (length) => block.slice(at, (at += length));
}
