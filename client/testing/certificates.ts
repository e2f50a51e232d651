/** Certificates for tests of what a client trusts. */
import { CipherContext } from 'werift';

/** A self-signed P-256 certificate, whose name is no host's. */
export async function selfSigned(): Promise<{ key: string; cert: string }> {
  const { certPem, keyPem } = await CipherContext.createSelfSignedCertificateWithKey({ signature: 3, hash: 4 }, 23);
  return { cert: certPem, key: keyPem };
}
