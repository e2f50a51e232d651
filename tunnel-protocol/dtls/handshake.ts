/** What a role's handshake logic tells the session that drives it. */
import type { SrtpKeyMaterial } from '../srtp/index.ts';
import type { RecordProtection } from './protection.ts';
import type { FlightMessage } from './record-writer.ts';
import type { DtlsRefusal } from './refusals.ts';

export type HandshakeStep =
  /** Taken; more messages of this flight are to come. */
  | { readonly kind: 'more' }
  /** The peer's flight is complete, here is ours. `protection`: from now on the protected epoch is understood. */
  | { readonly kind: 'flight'; readonly flight: readonly FlightMessage[]; readonly protection: RecordProtection | null }
  /** The peer's Finished may come now. */
  | { readonly kind: 'protected'; readonly protection: RecordProtection }
  /** The peer is authenticated. `lastFlight` is empty when the peer's was the last. */
  | { readonly kind: 'done'; readonly lastFlight: readonly FlightMessage[]; readonly keys: SrtpKeyMaterial }
  /** Not taken, and nothing from message number `from` on is: the logic awaits that one again. */
  | { readonly kind: 'refused'; readonly refusal: DtlsRefusal; readonly from: number };

export interface HandshakeLogic {
  /** The first flight; empty for a server. */
  start(): Promise<readonly FlightMessage[]>;
  /** One whole message, header and body, in order and each once. A rejection ends the session. */
  next(message: Uint8Array): Promise<HandshakeStep>;
}

export const moreToCome: HandshakeStep = { kind: 'more' };

export function refused(refusal: DtlsRefusal, from: number): HandshakeStep {
  return { kind: 'refused', refusal, from };
}
