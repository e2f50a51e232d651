/**
 * What the server demands of a client's handshake, before werift's engine sees it: an offer that it can take, the
 * certificate of signalling, its key's signature over everything (RFC 5246 section 7.4.8), and a true Finished.
 * Certificate, ClientKeyExchange and CertificateVerify are taken together or not at all: only the signature tells
 * whether the first two are real.
 */
import { concatBytes, equalBytesConstantTime } from '../bytes.ts';
import { decodeCertificates, decodeCertificateVerify } from './certificate.ts';
import type { DtlsCrypto } from './crypto.ts';
import type { HandshakeEngine } from './engine.ts';
import { matchesFingerprint } from './fingerprint.ts';
import { handshakeType, messageBody, messageSequence, messageType } from './handshake-message.ts';
import { moreToCome, refused, type HandshakeLogic, type HandshakeStep } from './handshake.ts';
import {
  cipherSuite,
  decodeClientHello,
  dtls12,
  namedGroup,
  signatureScheme,
  srtpProfileId,
  type ClientHello,
} from './hello.ts';
import { decodeClientKeyExchange, isKeyShare } from './key-exchange.ts';
import type { FlightMessage } from './record-writer.ts';
import type { DtlsRefusal } from './refusals.ts';
import type { DtlsFingerprint } from './types.ts';

export class ServerHandshake implements HandshakeLogic {
  readonly #engine: HandshakeEngine;
  readonly #crypto: DtlsCrypto;
  readonly #remoteFingerprint: DtlsFingerprint;
  #awaited: number = handshakeType.clientHello;
  #certificateMessage: Uint8Array = new Uint8Array(0);
  #certificate: Uint8Array = new Uint8Array(0);
  #keyExchangeMessage: Uint8Array = new Uint8Array(0);

  constructor(engine: HandshakeEngine, crypto: DtlsCrypto, remoteFingerprint: DtlsFingerprint) {
    this.#engine = engine;
    this.#crypto = crypto;
    this.#remoteFingerprint = remoteFingerprint;
  }

  start(): Promise<readonly FlightMessage[]> {
    return Promise.resolve([]);
  }

  async next(message: Uint8Array): Promise<HandshakeStep> {
    const type = messageType(message);
    if (type !== this.#awaited) return this.#unexpected(type, messageSequence(message));
    switch (type) {
      case handshakeType.clientHello:
        return this.#clientHello(message);
      case handshakeType.certificate:
        return this.#takeCertificate(message);
      case handshakeType.clientKeyExchange:
        return this.#takeKeyExchange(message);
      case handshakeType.certificateVerify:
        return this.#certificateVerify(message);
      default:
        return this.#finished(message);
    }
  }

  async #clientHello(message: Uint8Array): Promise<HandshakeStep> {
    const hello = decodeClientHello(messageBody(message));
    const refusal = hello === null ? 'malformed_message' : refusalOf(hello);
    if (refusal !== null) return refused(refusal, messageSequence(message));
    const flight = await this.#engine.deliverClientHello(message);
    this.#awaited = handshakeType.certificate;
    return { kind: 'flight', flight, protection: null };
  }

  #takeCertificate(message: Uint8Array): HandshakeStep {
    const sequence = messageSequence(message);
    const certificates = decodeCertificates(messageBody(message));
    if (certificates === null) return refused('malformed_message', sequence);
    const [certificate] = certificates;
    if (certificate === undefined || certificates.length > 1) return refused('no_certificate', sequence);
    if (!matchesFingerprint(this.#remoteFingerprint, certificate, this.#crypto.digest)) {
      return refused('fingerprint', sequence);
    }
    this.#certificateMessage = message;
    this.#certificate = certificate;
    this.#awaited = handshakeType.clientKeyExchange;
    return moreToCome;
  }

  #takeKeyExchange(message: Uint8Array): HandshakeStep {
    const publicKey = decodeClientKeyExchange(messageBody(message));
    if (publicKey === null) return refused('malformed_message', messageSequence(message));
    if (!isKeyShare(this.#engine.group, publicKey)) return refused('key_share', messageSequence(message));
    this.#keyExchangeMessage = message;
    this.#awaited = handshakeType.certificateVerify;
    return moreToCome;
  }

  async #certificateVerify(message: Uint8Array): Promise<HandshakeStep> {
    const refusal = this.#refusalOfSignature(messageBody(message));
    if (refusal !== null) return this.#refuseFlight(refusal);
    await this.#engine.deliver(this.#certificateMessage);
    await this.#engine.deliver(this.#keyExchangeMessage);
    await this.#engine.deliver(message);
    this.#awaited = handshakeType.finished;
    return { kind: 'protected', protection: this.#engine.protection() };
  }

  async #finished(message: Uint8Array): Promise<HandshakeStep> {
    if (!equalBytesConstantTime(this.#engine.peerVerifyData(), messageBody(message))) {
      return refused('finished', messageSequence(message));
    }
    const lastFlight = await this.#engine.deliver(message);
    return { kind: 'done', lastFlight, keys: this.#engine.srtpKeys() };
  }

  #refusalOfSignature(body: Uint8Array): DtlsRefusal | null {
    const verify = decodeCertificateVerify(body);
    if (verify === null) return 'malformed_message';
    if (!offeredSchemes.includes(verify.scheme)) return 'signature_scheme';
    const signed = concatBytes([this.#engine.transcript(), this.#certificateMessage, this.#keyExchangeMessage]);
    const isTrue = this.#crypto.verify(verify.scheme, this.#certificate, signed, verify.signature);
    return isTrue ? null : 'certificate_verify';
  }

  /** A message out of order. One in the middle of flight 5 casts doubt on what was taken of that flight before. */
  #unexpected(type: number, sequence: number): HandshakeStep {
    if (this.#awaited === handshakeType.certificate && type === handshakeType.clientKeyExchange) {
      return refused('no_certificate', sequence);
    }
    const inFlight =
      this.#awaited === handshakeType.clientKeyExchange || this.#awaited === handshakeType.certificateVerify;
    return inFlight ? this.#refuseFlight('unexpected_message') : refused('unexpected_message', sequence);
  }

  #refuseFlight(refusal: DtlsRefusal): HandshakeStep {
    this.#awaited = handshakeType.certificate;
    return refused(refusal, messageSequence(this.#certificateMessage));
  }
}

/** As in werift's CertificateRequest. */
const offeredSchemes: readonly number[] = [signatureScheme.rsaPkcs1Sha256, signatureScheme.ecdsaSecp256r1Sha256];
const groups: readonly number[] = [namedGroup.x25519, namedGroup.secp256r1];
const profiles: readonly number[] = [srtpProfileId.aeadAes128Gcm, srtpProfileId.aes128CmSha1Tag80];

/** werift takes whatever of this it finds; a hello without it would make it throw, or settle for less. */
function refusalOf(hello: ClientHello): DtlsRefusal | null {
  if (hello.version !== dtls12 || !hello.compressionMethods.includes(0)) return 'version';
  // There was no HelloVerifyRequest, so a cookie is nobody's.
  if (hello.cookie.length > 0) return 'unexpected_message';
  if (!hello.cipherSuites.includes(cipherSuite.ecdheEcdsaAes128Gcm)) return 'cipher_suite';
  if (!hello.groups.some((group) => groups.includes(group))) return 'key_share';
  if (!hello.signatureSchemes.includes(signatureScheme.ecdsaSecp256r1Sha256)) return 'signature_scheme';
  if (!hello.srtpProfiles.some((profile) => profiles.includes(profile))) return 'srtp_profile';
  return hello.extendedMasterSecret ? null : 'extended_master_secret';
}
