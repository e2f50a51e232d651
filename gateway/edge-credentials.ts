/** What an edge proves itself and others by, and what the log says about it at the start. */
import { hostname } from 'node:os';
import type { Logger } from '../sfu/index.ts';
import { isLoopback } from './addresses.ts';
import { recommendedSecretBytes } from './auth.ts';
import { CertificateSet } from './certificates.ts';
import type { Config } from './config.ts';
import type { Secret } from './secret.ts';
import { readOrMakeStoredSecret } from './stored-secret.ts';
import { selfSignedCertificate } from './tls-certificate.ts';

/** The configured secret, or one of this edge's own making. */
export async function edgeSecret({ secret, dataDir }: Config, log: Logger): Promise<Secret> {
  if (secret !== null) return secret;
  log.warn({}, 'SALLYPORT_SECRET is not set: tokens are signed by a random secret, kept in the data folder');
  return readOrMakeStoredSecret(dataDir);
}

export interface EdgeCertificates {
  readonly set: CertificateSet;
  /** SPKI pin where the certificate is self-signed, else null. */
  readonly pin: string | null;
}

/** The configured certificates, or a self-signed one of this edge's own making. Rejects with a sentence for people. */
export async function edgeCertificates(config: Config, log: Logger): Promise<EdgeCertificates> {
  const { tls, dataDir, publicHost, publicAddresses } = config;
  if (tls !== null) {
    const set = await CertificateSet.load(tls);
    for (const warning of set.warnings) log.warn({}, warning);
    return { set, pin: null };
  }
  const named = publicHost === null || /^[[\d]/.test(publicHost.host) ? [] : [publicHost.host];
  const own = hostname().toLowerCase();
  const made = await selfSignedCertificate(
    dataDir,
    { dns: ['localhost', ...named], ip: ['127.0.0.1', '::1'] },
    { dns: /^[a-z0-9.-]+$/.test(own) ? [own] : [], ip: publicAddresses },
    Date.now(),
  );
  log.warn(
    { pin: made.pin, made: made.made },
    'the certificate is self-signed: browsers will warn, and clients need its pin or a flag; set SALLYPORT_TLS_CERT and SALLYPORT_TLS_KEY',
  );
  return { set: await CertificateSet.load([made]), pin: made.pin };
}

/** What is allowed, but an operator should know. */
export function warnOfRisks({ auth, hosts, adminHost, origins }: Config, secret: Secret, log: Logger): void {
  if (auth === 'open') {
    const reach = hosts.every(isLoopback) ? 'this machine alone can reach it' : 'ANYBODY who can reach it';
    log.warn({ auth }, `OPEN MODE: joining any room needs no token, for ${reach}; set SALLYPORT_AUTH=token`);
  }
  if (Buffer.byteLength(secret.reveal()) < recommendedSecretBytes) {
    log.warn({}, `SALLYPORT_SECRET is shorter than ${String(recommendedSecretBytes)} bytes and may be guessed`);
  }
  if (!isLoopback(adminHost)) {
    log.warn({}, 'the admin port has no authentication and is bound beyond this machine: keep others away from it');
  }
  if (origins.includes('*')) log.warn({}, 'SALLYPORT_ORIGINS is *: pages of any web origin may join calls');
}
