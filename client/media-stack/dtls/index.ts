/** DTLS-SRTP of a page as the client of the SFU, without Node. */
import { ClientHandshake, DtlsSession } from '../../../tunnel-protocol/index.ts';
import type { DtlsClock, DtlsCounters, DtlsEvents, DtlsFingerprint } from '../../../tunnel-protocol/index.ts';
import type { PageIdentity, Subtle } from './certificate.ts';
import { WebCryptoEngine } from './client-engine.ts';
import { pageAead, pageClientCrypto } from './page-crypto.ts';

export { createPageIdentity, type PageIdentity, type Subtle } from './certificate.ts';
export { pageHmacSha1, pageSrtpCrypto } from './page-crypto.ts';

export interface PageDtlsOptions {
  readonly identity: PageIdentity;
  readonly subtle: Subtle;
  /** The server's fingerprint from its answer. */
  readonly remoteFingerprint: DtlsFingerprint;
  /** Sends one datagram; the bytes are given away. */
  readonly send: (datagram: Uint8Array) => void;
  readonly counters: DtlsCounters;
  readonly clock: DtlsClock;
  readonly roundTripMs: number | null;
}

const mtu = 1200;
const randomBytes = 32;

export function createPageDtls(options: PageDtlsOptions, events: DtlsEvents): DtlsSession {
  const { identity, subtle, remoteFingerprint, ...session } = options;
  const random = crypto.getRandomValues(new Uint8Array(randomBytes));
  const engine = new WebCryptoEngine(identity, subtle, pageAead, random);
  const noFlightOfItsOwn = (): Promise<void> => Promise.resolve();
  const logic = new ClientHandshake(engine, pageClientCrypto(subtle), remoteFingerprint, noFlightOfItsOwn);
  return new DtlsSession({ logic, mtu, ...session }, events);
}
