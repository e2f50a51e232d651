/** Types that both DTLS adapters (the SFU's server, the client's client) present to their owners. */
import type { SrtpKeyMaterial } from '../srtp/index.ts';
import type { DtlsCloseReason } from './refusals.ts';

/** A self-signed P-256 certificate and its key, PEM. */
export interface DtlsIdentity {
  readonly certPem: string;
  readonly keyPem: string;
  /** SHA-256 over the DER, upper-case hex with colons, as SDP's `a=fingerprint` writes it (RFC 8122 section 5). */
  readonly fingerprint: string;
}

/** The peer's `a=fingerprint` from signalling. */
export interface DtlsFingerprint {
  /** `sha-256`, `sha-384` or `sha-512`, in any case. */
  readonly algorithm: string;
  /** Hex pairs with colons, in any case. */
  readonly value: string;
}

export interface DtlsEvents {
  /** Once, after the peer is authenticated: certificate, signature and Finished are verified. */
  onConnected(keys: SrtpKeyMaterial): void;
  /** Application data (SCTP). The bytes are the receiver's to keep. Never before `onConnected`. */
  onData(bytes: Uint8Array): void;
  /** At most once, and never because of the owner's own `close()`. `reason` is a {@link DtlsCloseReason}. */
  onClosed(reason: DtlsCloseReason): void;
}
