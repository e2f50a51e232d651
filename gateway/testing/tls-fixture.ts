/** Certificates for tests, made anew for each. */
import { selfSignedCertificate, type SelfSignedCertificate } from '../tls-certificate.ts';

export function testCertificate(folder: string): Promise<SelfSignedCertificate> {
  return selfSignedCertificate(
    folder,
    { dns: ['localhost'], ip: ['127.0.0.1', '::1'] },
    { dns: [], ip: [] },
    Date.now(),
  );
}
