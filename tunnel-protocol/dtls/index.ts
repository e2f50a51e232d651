export { ClientHandshake, type ClientCrypto, type ClientEngine } from './client-handshake.ts';
export type { DtlsClock } from './clock.ts';
export { createDtlsCounters, dtlsCounts, type DtlsCounters } from './counters.ts';
export { dtlsCryptoFrom, type DtlsCrypto } from './crypto.ts';
export { EngineTransport, HandshakeEngine } from './engine.ts';
export { isDtlsFingerprint } from './fingerprint.ts';
export { DtlsGuard, type DtlsGuardEvent, type DtlsGuardOptions } from './guard.ts';
export {
  handshakeHeaderBytes,
  handshakeType,
  messageBody,
  messageSequence,
  messageType,
  putFragmentHeader,
} from './handshake-message.ts';
export { decodeServerKeyExchange } from './key-exchange.ts';
export { protectedEpoch, RecordProtection, type DtlsAead } from './protection.ts';
export { dtlsContentType } from './record.ts';
export type { FlightMessage } from './record-writer.ts';
export {
  cipherSuite,
  decodeServerHello,
  dtls12,
  extensionType,
  namedGroup,
  signatureScheme,
  srtpProfileId,
} from './hello.ts';
export { dtlsRefusals, type DtlsCloseReason, type DtlsRefusal } from './refusals.ts';
export { ServerHandshake } from './server-handshake.ts';
export { DtlsSession, type DtlsSessionOptions } from './session.ts';
export type { DtlsEvents, DtlsFingerprint, DtlsIdentity } from './types.ts';
