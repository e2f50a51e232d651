/** The certificate of the public port: the operator's files, or a self-signed one that is made on first run. */
import { webcrypto, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { writeDataFile } from './data-file.ts';
import { keyPairFault, spkiPin } from './tls-files.ts';
import type { CertificateFiles } from './certificates.ts';

const validityDays = 397;
const renewBeforeDays = 30;
const dayMs = 86_400_000;

export interface CertificateNames {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
}

export interface SelfSignedCertificate extends CertificateFiles {
  /** See {@link spkiPin}. */
  readonly pin: string;
  /** False when an earlier run's is used. */
  readonly made: boolean;
}

/**
 * Returns the certificate kept in the folder, or makes one: EC P-256, with the key readable by its owner alone.
 * One that is about to expire is replaced, and so is one that lacks a name of `required`; names of `extra` are put in,
 * but their absence does not cost anyone the certificate that they have already accepted.
 */
export async function selfSignedCertificate(
  dataDir: string,
  required: CertificateNames,
  extra: CertificateNames,
  nowMs: number,
): Promise<SelfSignedCertificate> {
  const certFile = path.join(dataDir, 'tls-cert.pem');
  const keyFile = path.join(dataDir, 'tls-key.pem');
  const kept = await readKept(certFile, keyFile, required, nowMs);
  if (kept !== null) return { certFile, keyFile, pin: spkiPin(kept), made: false };
  const names = {
    dns: [...new Set([...required.dns, ...extra.dns])],
    ip: [...new Set([...required.ip, ...extra.ip])],
  };
  const { certPem, keyPem } = await generate(names, nowMs);
  await writeDataFile(keyFile, keyPem, 0o600);
  await writeDataFile(certFile, certPem, 0o644);
  return { certFile, keyFile, pin: spkiPin(certPem), made: true };
}

async function readKept(
  certFile: string,
  keyFile: string,
  required: CertificateNames,
  nowMs: number,
): Promise<string | null> {
  let certPem: string;
  try {
    certPem = await readFile(certFile, 'utf8');
    if (keyPairFault(certPem, await readFile(keyFile, 'utf8')) !== null) return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  const certificate = new X509Certificate(certPem);
  if (Date.parse(certificate.validTo) - nowMs < renewBeforeDays * dayMs) return null;
  const covered =
    required.dns.every((name) => certificate.checkHost(name) !== undefined) &&
    required.ip.every((address) => certificate.checkIP(address) !== undefined);
  return covered ? certPem : null;
}

/** A self-signed one that is kept nowhere, as PEM. */
export async function makeCertificate(
  names: CertificateNames,
  nowMs: number,
): Promise<{ readonly cert: string; readonly key: string }> {
  const { certPem, keyPem } = await generate(names, nowMs);
  return { cert: certPem, key: keyPem };
}

async function generate(
  names: CertificateNames,
  nowMs: number,
): Promise<{ readonly certPem: string; readonly keyPem: string }> {
  const x509 = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const serialNumber = Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString('hex');
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=Sallyport (self-signed)',
      // A leading zero byte keeps the number positive, as RFC 5280 section 4.1.2.2 demands.
      serialNumber: `00${serialNumber}`,
      notBefore: new Date(nowMs - dayMs),
      notAfter: new Date(nowMs + validityDays * dayMs),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension([
          ...names.dns.map((value) => ({ type: 'dns' as const, value })),
          ...names.ip.map((value) => ({ type: 'ip' as const, value })),
        ]),
      ],
    },
    webcrypto,
  );
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { certPem: `${certificate.toString('pem')}\n`, keyPem: pem('PRIVATE KEY', der) };
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').replace(/.{1,64}/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}
