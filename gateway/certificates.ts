/** The certificates of the public port: one by default, others by the name that a client asks for. */
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls';
import type { TlsServerOptions } from './libc/index.ts';
import { dnsNames, keyPairFault, validityFault } from './tls-files.ts';

/** PEM files; the certificate's may hold a chain, its own first. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** One pair, read and checked. */
export interface LoadedCertificate {
  readonly files: CertificateFiles;
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** The DNS names it is for, in lower case, wildcards included. */
  readonly names: readonly string[];
}

/**
 * What TLS 1.2 may use, in OpenSSL's words: ephemeral ECDH and authenticated encryption alone, which is Mozilla's
 * "intermediate" without the finite-field suites. For uWebSockets.js, whose TLS 1.3 suites are OpenSSL's own.
 */
export const uwsCiphers = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

const tls13Ciphers = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

const policy = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: `${tls13Ciphers}:${uwsCiphers}`,
  // All are strong, and clients know best which one their hardware does.
  honorCipherOrder: false,
  // A ticket is resumed only where this is what it was at first, whichever certificate was chosen.
  sessionIdContext: 'sallyport',
} as const satisfies SecureContextOptions;

export class CertificateSet {
  /** The first is the default. */
  readonly all: readonly [LoadedCertificate, ...LoadedCertificate[]];
  /** Sentences about certificates that work, but that clients will not accept: expired ones. */
  readonly warnings: readonly string[];
  /** In the order of `all`. */
  readonly #contexts: readonly SecureContext[];
  /** Places in `all` by name. */
  readonly #exact = new Map<string, number>();
  /** By what follows the asterisk and its dot. */
  readonly #wildcard = new Map<string, number>();

  private constructor(all: readonly [LoadedCertificate, ...LoadedCertificate[]], warnings: readonly string[]) {
    this.all = all;
    this.warnings = warnings;
    this.#contexts = all.map(({ files, cert, key }) => usableContext(files, { ...policy, cert, key }));
    for (const [i, { names }] of all.entries()) {
      for (const name of names) {
        const [table, entry] = name.startsWith('*.') ? [this.#wildcard, name.slice(2)] : [this.#exact, name];
        if (!table.has(entry)) table.set(entry, i);
      }
    }
  }

  /** Rejects with an Error whose message tells every fault, for people. The list must not be empty. */
  static async load(files: readonly CertificateFiles[]): Promise<CertificateSet> {
    const faults: string[] = [];
    const warnings: string[] = [];
    const loaded = await Promise.all(files.map((pair) => loadPair(pair, faults, warnings)));
    if (faults.length > 0) throw new Error(faults.join('; '));
    const [first, ...others] = loaded.filter((pair) => pair !== null);
    if (first === undefined) throw new Error('at least one certificate is needed');
    return new CertificateSet([first, ...others], warnings);
  }

  /** For servers of `node:tls`. A server that outlives this set should look names up with {@link contextFor} itself. */
  tlsOptions(): TlsOptions {
    return {
      ...this.secureContextOptions(),
      SNICallback: (serverName, done) => {
        done(null, this.contextFor(serverName) ?? undefined);
      },
    };
  }

  /** The same for OpenSSL as it is called past Node, for each certificate. */
  nativeOptions(): readonly Omit<TlsServerOptions, 'ticketKeys'>[] {
    const { sessionIdContext } = policy;
    const shared = { ciphers: uwsCiphers, ciphersuites: tls13Ciphers, sessionIdContext };
    return this.all.map(({ cert, key }) => ({ ...shared, cert, key }));
  }

  /** The default certificate and the policy; also what `server.setSecureContext` takes. */
  secureContextOptions(): SecureContextOptions {
    const [{ cert, key }] = this.all;
    return { ...policy, cert, key };
  }

  /** For a name of SNI, what is to be put in place of the default certificate; null is the default itself. */
  contextFor(serverName: string): SecureContext | null {
    const index = this.indexFor(serverName);
    return index === 0 ? null : (this.#contexts[index] ?? null);
  }

  /** The place in `all` of the certificate of that very name, or of the wildcard one level above; else the first. */
  indexFor(serverName: string): number {
    const name = serverName.toLowerCase();
    const dot = name.indexOf('.');
    return this.#exact.get(name) ?? (dot < 1 ? 0 : (this.#wildcard.get(name.slice(dot + 1)) ?? 0));
  }
}

async function loadPair(
  files: CertificateFiles,
  faults: string[],
  warnings: string[],
): Promise<LoadedCertificate | null> {
  const [cert, key] = await Promise.all([readText(files.certFile, faults), readText(files.keyFile, faults)]);
  if (cert === null || key === null) return null;
  const fault = keyPairFault(cert, key);
  if (fault !== null) {
    faults.push(`${fault.of === 'cert' ? files.certFile : files.keyFile}: ${fault.sentence}`);
    return null;
  }
  const invalid = validityFault(cert, Date.now());
  if (invalid !== null) warnings.push(`${files.certFile}: ${invalid}`);
  return { files, cert, key, names: dnsNames(cert) };
}

async function readText(file: string, faults: string[]): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    faults.push(`${file} cannot be read (${error instanceof Error ? error.message : String(error)})`);
    return null;
  }
}

/** A pair can fit and yet be of no use: too weak a key, a damaged certificate further up the chain. */
function usableContext(files: CertificateFiles, options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${files.certFile} cannot be used for TLS (${why})`, { cause: error });
  }
}
