/** A company's own authority, and what it says of the edge: for those who read the TLS of their machines. */
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface CompanyCertificate {
  /** PEM of the authority. */
  readonly ca: string;
  /** Files of the certificate with its key behind it (haproxy), and of each by itself (nginx). */
  readonly bundleFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Base64 of the SHA-256 of its public key, as Chromium takes it. */
  readonly pin: string;
}

/** For this IP address; needs openssl. */
export function makeCompanyCertificate(folder: string, address: string): CompanyCertificate {
  const file = (name: string): string => path.join(folder, name);
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', file('ca.key'), '-out', file('ca.pem'), '-days', '2', '-subj', '/CN=Company'); // prettier-ignore
  openssl('req', ...key, '-keyout', file('hop.key'), '-out', file('hop.csr'), '-subj', `/CN=${address}`);
  writeFileSync(file('hop.ext'), `subjectAltName=IP:${address}\n`);
  openssl('x509', '-req', '-in', file('hop.csr'), '-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2', '-extfile', file('hop.ext'), '-out', file('hop.pem')); // prettier-ignore
  const certificate = readFileSync(file('hop.pem'), 'utf8');
  writeFileSync(file('hop-bundle.pem'), certificate + readFileSync(file('hop.key'), 'utf8'));
  const spki = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return {
    ca: readFileSync(file('ca.pem'), 'utf8'),
    bundleFile: file('hop-bundle.pem'),
    certificateFile: file('hop.pem'),
    keyFile: file('hop.key'),
    pin: createHash('sha256').update(spki).digest('base64'),
  };
}
