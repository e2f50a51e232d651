/**
 * What the client demands of the server's handshake, before werift's engine sees it: choices out of what it offered,
 * the certificate of signalling, its key's signature over the key exchange (RFC 8422 section 5.4), and a true Finished.
 * Flight 4 is taken as a whole or not at all: the signature binds the ServerHello's random and the certificate too.
 */
import { concatBytes, equalBytesConstantTime } from '../bytes.ts';
import { decodeCertificates, requestTakesEcdsa } from './certificate.ts';
import type { DtlsCrypto } from './crypto.ts';
import { matchesFingerprint } from './fingerprint.ts';
import { handshakeType, messageBody, messageSequence, messageType } from './handshake-message.ts';
import { moreToCome, refused, type HandshakeLogic, type HandshakeStep } from './handshake.ts';
import {
  cipherSuite,
  decodeServerHello,
  dtls12,
  extensionType,
  signatureScheme,
  srtpProfileId,
  type ServerHello,
} from './hello.ts';
import { decodeServerKeyExchange, isKeyShare } from './key-exchange.ts';
import type { RecordProtection } from './protection.ts';
import type { FlightMessage } from './record-writer.ts';
import type { SrtpKeyMaterial } from '../srtp/index.ts';
import type { DtlsRefusal } from './refusals.ts';
import type { DtlsFingerprint } from './types.ts';

/** What may follow what in flight 4; HelloVerifyRequest stands before it, if at all. */
const successors: ReadonlyMap<number, readonly number[]> = new Map([
  [handshakeType.serverHello, [handshakeType.certificate]],
  [handshakeType.certificate, [handshakeType.serverKeyExchange]],
  [handshakeType.serverKeyExchange, [handshakeType.certificateRequest, handshakeType.serverHelloDone]],
  [handshakeType.certificateRequest, [handshakeType.serverHelloDone]],
]);

/** As {@link DtlsCrypto}; but Web Crypto takes its time to verify. */
export interface ClientCrypto extends Pick<DtlsCrypto, 'digest'> {
  readonly verify: (...of: Parameters<DtlsCrypto['verify']>) => boolean | Promise<boolean>;
}

/** What makes the client's messages and keys: `HandshakeEngine`, or the page's own on Web Crypto. */
export interface ClientEngine {
  /** Runs what makes the first flight. */
  start(connect: () => Promise<void>): Promise<readonly FlightMessage[]>;
  /** Takes one verified message (header and body); gives the flight that it completes, or nothing. */
  deliver(message: Uint8Array): Promise<readonly FlightMessage[]>;
  /** What the server's Finished has to say after the transcript so far. */
  peerVerifyData(): Uint8Array;
  readonly localRandom: Uint8Array;
  /** Record keys; there once the key exchange was delivered. */
  protection(): RecordProtection;
  srtpKeys(): SrtpKeyMaterial;
}

export class ClientHandshake implements HandshakeLogic {
  readonly #engine: ClientEngine;
  readonly #crypto: ClientCrypto;
  readonly #remoteFingerprint: DtlsFingerprint;
  readonly #connect: () => Promise<void>;
  /** What the server may begin with. */
  #awaitedFirst: readonly number[] = [handshakeType.helloVerifyRequest, handshakeType.serverHello];
  #awaited = this.#awaitedFirst;
  #flight: Uint8Array[] = [];
  #hello: ServerHello | null = null;
  #certificate: Uint8Array = new Uint8Array(0);

  /** `connect` makes the engine's first flight. */
  constructor(
    engine: ClientEngine,
    crypto: ClientCrypto,
    remoteFingerprint: DtlsFingerprint,
    connect: () => Promise<void>,
  ) {
    this.#engine = engine;
    this.#crypto = crypto;
    this.#remoteFingerprint = remoteFingerprint;
    this.#connect = connect;
  }

  start(): Promise<readonly FlightMessage[]> {
    return this.#engine.start(this.#connect);
  }

  async next(message: Uint8Array): Promise<HandshakeStep> {
    const type = messageType(message);
    if (!this.#awaited.includes(type)) return this.#refuseFlight('unexpected_message', message);
    if (type === handshakeType.helloVerifyRequest) return this.#helloVerifyRequest(message);
    if (type === handshakeType.finished) return this.#finished(message);
    const refusal = await this.#refusalOf(type, messageBody(message));
    if (refusal !== null) return this.#refuseFlight(refusal, message);
    this.#flight.push(message);
    this.#awaited = successors.get(type) ?? [handshakeType.finished];
    return type === handshakeType.serverHelloDone ? this.#answer() : moreToCome;
  }

  async #helloVerifyRequest(message: Uint8Array): Promise<HandshakeStep> {
    const body = messageBody(message);
    if (body.length < 3 || body.length !== 3 + (body[2] as number)) {
      return refused('malformed_message', messageSequence(message));
    }
    this.#awaitedFirst = [handshakeType.serverHello];
    this.#awaited = this.#awaitedFirst;
    return { kind: 'flight', flight: await this.#engine.deliver(message), protection: null };
  }

  async #answer(): Promise<HandshakeStep> {
    let flight: readonly FlightMessage[] = [];
    for (const message of this.#flight) flight = await this.#engine.deliver(message);
    return { kind: 'flight', flight, protection: this.#engine.protection() };
  }

  async #finished(message: Uint8Array): Promise<HandshakeStep> {
    if (!equalBytesConstantTime(this.#engine.peerVerifyData(), messageBody(message))) {
      return refused('finished', messageSequence(message));
    }
    await this.#engine.deliver(message);
    return { kind: 'done', lastFlight: [], keys: this.#engine.srtpKeys() };
  }

  #refusalOf(type: number, body: Uint8Array): DtlsRefusal | null | Promise<DtlsRefusal | null> {
    switch (type) {
      case handshakeType.serverHello:
        this.#hello = decodeServerHello(body);
        return this.#hello === null ? 'malformed_message' : refusalOfHello(this.#hello);
      case handshakeType.certificate:
        return this.#refusalOfCertificate(body);
      case handshakeType.serverKeyExchange:
        return this.#refusalOfKeyExchange(body);
      case handshakeType.certificateRequest: {
        const takesEcdsa = requestTakesEcdsa(body);
        if (takesEcdsa === null) return 'malformed_message';
        return takesEcdsa ? null : 'certificate_request';
      }
      default:
        return body.length === 0 ? null : 'malformed_message';
    }
  }

  #refusalOfCertificate(body: Uint8Array): DtlsRefusal | null {
    const certificates = decodeCertificates(body);
    if (certificates === null) return 'malformed_message';
    const [certificate] = certificates;
    if (certificate === undefined || certificates.length > 1) return 'no_certificate';
    this.#certificate = certificate;
    return matchesFingerprint(this.#remoteFingerprint, certificate, this.#crypto.digest) ? null : 'fingerprint';
  }

  async #refusalOfKeyExchange(body: Uint8Array): Promise<DtlsRefusal | null> {
    const exchange = decodeServerKeyExchange(body);
    if (exchange === null || this.#hello === null) return 'malformed_message';
    if (!isKeyShare(exchange.group, exchange.publicKey)) return 'key_share';
    if (exchange.scheme !== schemeOfSuite.get(this.#hello.cipherSuite)) return 'signature_scheme';
    const signed = concatBytes([this.#engine.localRandom, this.#hello.random, exchange.params]);
    const isTrue = await this.#crypto.verify(exchange.scheme, this.#certificate, signed, exchange.signature);
    return isTrue ? null : 'server_key_exchange';
  }

  /** Starts again at the first message of the flight: what was taken of it may be the forged part. */
  #refuseFlight(refusal: DtlsRefusal, message: Uint8Array): HandshakeStep {
    const [first = message] = this.#flight;
    if (this.#flight.length > 0 && !this.#awaited.includes(handshakeType.finished)) {
      this.#flight = [];
      this.#awaited = this.#awaitedFirst;
      return refused(refusal, messageSequence(first));
    }
    return refused(refusal, messageSequence(message));
  }
}

/** The suites that werift offers, and the schemes among those it offers that fit them. */
const schemeOfSuite: ReadonlyMap<number, number> = new Map([
  [cipherSuite.ecdheEcdsaAes128Gcm, signatureScheme.ecdsaSecp256r1Sha256],
  [cipherSuite.ecdheRsaAes128Gcm, signatureScheme.rsaPkcs1Sha256],
]);
const offeredExtensions: readonly number[] = Object.values(extensionType);
const offeredProfiles: readonly number[] = Object.values(srtpProfileId);

function refusalOfHello(hello: ServerHello): DtlsRefusal | null {
  if (hello.version !== dtls12 || hello.compressionMethod !== 0) return 'version';
  if (!schemeOfSuite.has(hello.cipherSuite)) return 'cipher_suite';
  if (!hello.extensionTypes.every((type) => offeredExtensions.includes(type))) return 'extension';
  const [profile] = hello.srtpProfiles;
  if (profile === undefined || hello.srtpProfiles.length > 1 || !offeredProfiles.includes(profile))
    return 'srtp_profile';
  return hello.extensionTypes.includes(extensionType.extendedMasterSecret) ? null : 'extended_master_secret';
}
