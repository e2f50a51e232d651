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
    // PKCS #8 says it in its label, the older forms in a header line.
    if (/^-----BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m.test(keyPem)) {
      return {
        of: 'key',
        sentence: 'the key is encrypted; store it without a passphrase, readable by its owner alone',
      };
    }
    return { of: 'key', sentence: 'the file holds no private key in PEM form' };
  }
  if (!certificate.checkPrivateKey(key)) return { of: 'key', sentence: 'the key does not belong to the certificate' };
  return null;
}

/** What clients will not accept although the server can use it; null while all is well. Of a readable certificate. */
export function validityFault(certPem: string, nowMs: number): string | null {
  const { validFrom, validTo } = new X509Certificate(certPem);
  if (Date.parse(validTo) < nowMs) return `the certificate expired on ${validTo}`;
  if (Date.parse(validFrom) > nowMs) return `the certificate is not valid before ${validFrom}`;
  return null;
}

/** The DNS names that the certificate is for, in lower case; wildcards as they are written. */
export function dnsNames(certPem: string): readonly string[] {
  const { subjectAltName } = new X509Certificate(certPem);
  // Values with commas are quoted, so that no name of another kind can be taken for one.
  const plain = subjectAltName?.replace(/"(?:[^"\\]|\\.)*"/g, '') ?? '';
  const names = plain.split(', ').filter((entry) => entry.startsWith('DNS:'));
  return [...new Set(names.map((entry) => entry.slice('DNS:'.length).toLowerCase()))];
}

/** SHA-256 of the SubjectPublicKeyInfo in base64: what Chromium and curl take as a pin (RFC 7469 section 2.4). */
export function spkiPin(certPem: string): string {
  const spki = new X509Certificate(certPem).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('base64');
}
