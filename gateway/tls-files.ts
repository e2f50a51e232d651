/** Checks on PEM files, made before anything listens. */
import { createHash, createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

/** What is wrong with the pair, or null. Takes PEM texts; the certificate's may hold a chain, its own first. */
export function keyPairFault(
  certPem: string,
  keyPem: string,
): { readonly of: 'cert' | 'key'; readonly sentence: string } | null {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(certPem);
  } catch {
    return { of: 'cert', sentence: 'the file holds no certificate in PEM form' };
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(keyPem);
  } catch {
    return { of: 'key', sentence: 'the file holds no unencrypted private key in PEM form' };
  }
  if (!certificate.checkPrivateKey(key)) return { of: 'key', sentence: 'the key does not belong to the certificate' };
  if (Date.parse(certificate.validTo) < Date.now()) {
    return { of: 'cert', sentence: `the certificate expired on ${certificate.validTo}` };
  }
  return null;
}

/** SHA-256 of the SubjectPublicKeyInfo in base64: what Chromium and curl take as a pin (RFC 7469 section 2.4). */
export function spkiPin(certPem: string): string {
  const spki = new X509Certificate(certPem).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('base64');
}
