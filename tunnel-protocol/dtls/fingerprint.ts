/** Certificate fingerprints of signalling (RFC 8122 section 5). */
import { equalBytesConstantTime } from '../bytes.ts';
import type { DtlsFingerprint } from './types.ts';

export type FingerprintHash = 'sha-256' | 'sha-384' | 'sha-512';

/** Digest length in bytes. Hashes that RFC 8122 lists for old peers alone (SHA-1, MD5, …) are not taken. */
const digestBytes: Readonly<Record<FingerprintHash, number>> = { 'sha-256': 32, 'sha-384': 48, 'sha-512': 64 };

/** Whether it can be checked at all: one of the three hashes, and as many hex pairs as it has bytes. */
export function isDtlsFingerprint(fingerprint: DtlsFingerprint): boolean {
  return parse(fingerprint) !== null;
}

/** Whether the certificate (DER) is the one that signalling promised. False for a fingerprint that cannot be checked. */
export function matchesFingerprint(
  fingerprint: DtlsFingerprint,
  certificate: Uint8Array,
  digest: (hash: FingerprintHash, data: Uint8Array) => Uint8Array,
): boolean {
  const expected = parse(fingerprint);
  return expected !== null && equalBytesConstantTime(digest(expected.hash, certificate), expected.bytes);
}

function parse(fingerprint: DtlsFingerprint): { hash: FingerprintHash; bytes: Uint8Array } | null {
  const hash = fingerprint.algorithm.toLowerCase();
  if (hash !== 'sha-256' && hash !== 'sha-384' && hash !== 'sha-512') return null;
  if (fingerprint.value.length !== 3 * digestBytes[hash] - 1) return null;
  if (!/^[0-9a-f]{2}(?::[0-9a-f]{2})*$/i.test(fingerprint.value)) return null;
  return { hash, bytes: Uint8Array.from(fingerprint.value.split(':'), (pair) => Number.parseInt(pair, 16)) };
}
