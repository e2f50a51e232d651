/** Which certificates of an edge are trusted, for both of its connections: requests and the tunnel. */
import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { ClientError } from '../errors.ts';
import type { ClientErrorCode } from '../errors.ts';
import { printable } from '../control/problem.ts';

/** Options for `tls.connect`. */
export interface TlsTrust {
  readonly ca?: string[];
  readonly rejectUnauthorized: boolean;
}

/** Throws ClientError `bad-option` when `ca` holds no certificate. */
export function tlsTrust(options: { readonly ca?: string | readonly string[]; readonly insecure?: boolean }): TlsTrust {
  const rejectUnauthorized = options.insecure !== true;
  if (options.ca === undefined) return { rejectUnauthorized };
  const extra = typeof options.ca === 'string' ? [options.ca] : [...options.ca];
  for (const pem of extra) {
    try {
      new X509Certificate(pem);
    } catch (error) {
      throw new ClientError('bad-option', { detail: 'ca is not a certificate in PEM form', cause: error });
    }
  }
  // Node's `ca` replaces the built-in authorities; these are extra ones.
  return { rejectUnauthorized, ca: [...rootCertificates, ...extra] };
}

/** A certificate that is not trusted, and who issued it: behind a proxy that intercepts TLS, its owner's authority. */
export class CertificateFault extends Error {
  readonly code: string;
  readonly #issuer: DistinguishedName | undefined;

  /** The issuer's name is a hostile text. */
  constructor(code: string, issuer: DistinguishedName | undefined, whose = '') {
    super([whose, code, describeIssuer(issuer)].filter((part) => part !== '').join(', '));
    this.code = code;
    this.#issuer = issuer;
  }

  /** The same, named as somebody's other than the edge's. */
  of(whose: string): CertificateFault {
    return new CertificateFault(this.code, this.#issuer, whose);
  }
}

type DistinguishedName = Readonly<Partial<Record<string, string | string[]>>>;

function describeIssuer(issuer: DistinguishedName | undefined): string {
  const names = [issuer?.['CN'], issuer?.['O']].flat().filter((name) => name !== undefined && name !== '');
  return names.length === 0 ? '' : `issued by ${printable(names.join(', '))}`;
}

const byErrno: ReadonlyMap<string, ClientErrorCode> = new Map<string, ClientErrorCode>([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate-untrusted'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate-untrusted'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate-untrusted'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'certificate-untrusted'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'certificate-untrusted'],
  ['CERT_UNTRUSTED', 'certificate-untrusted'],
  ['CERT_HAS_EXPIRED', 'certificate-expired'],
  ['CERT_NOT_YET_VALID', 'certificate-expired'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate-wrong-host'],
]);

export function isCertificateError(error: ClientError): boolean {
  return error.code.startsWith('certificate-');
}

/** True for errors that trying again does not cure. */
export function isFinalError(error: ClientError): boolean {
  return isCertificateError(error) || error.code === 'proxy-auth-required';
}

/** Names why a connection to the edge failed; looks through the wrappers of fetch and Happy Eyeballs. */
export function explainConnectionError(error: unknown): ClientError {
  let found: Error | undefined;
  for (let current: unknown = error, depth = 0; current instanceof Error && depth < 8; depth++) {
    if (current instanceof ClientError) return current;
    found = current;
    const code = codeOf(current);
    const known = byErrno.get(code);
    if (current instanceof CertificateFault) {
      return new ClientError(known ?? 'certificate-untrusted', { cause: error, detail: current.message });
    }
    if (known !== undefined) return new ClientError(known, { cause: error, detail: code });
    // A plain HTTP server answers a TLS greeting with text, and the other way round.
    if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
      return new ClientError('edge-not-sallyport', {
        cause: error,
        detail: 'no TLS there; use http:// or another port',
      });
    }
    if (current instanceof AggregateError && current.errors.length > 0) current = current.errors[0];
    else current = current.cause;
  }
  return new ClientError('edge-unreachable', { cause: error, detail: found?.message });
}

function codeOf(error: Error): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : '';
}
