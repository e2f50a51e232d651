import { X509Certificate } from 'node:crypto';
import { CipherContext } from 'werift';
import type { DtlsIdentity } from '../../tunnel-protocol/index.ts';

/** Makes a P-256 key and a certificate for it that nobody else signed, as WebRTC does (RFC 8827 section 6.5). */
export async function createDtlsIdentity(): Promise<DtlsIdentity> {
  const { certPem, keyPem } = await CipherContext.createSelfSignedCertificateWithKey({ signature: 3, hash: 4 }, 23);
  return { certPem, keyPem, fingerprint: new X509Certificate(certPem).fingerprint256 };
}
