/**
 * The client's side of a DTLS 1.2 handshake on Web Crypto: messages, transcript and keys. `ClientHandshake` has checked
 * what it is given, `DtlsGuard` keeps records and timers. One suite (ECDHE with P-256, ECDSA, AES-128-GCM), with extended
 * master secret and DTLS-SRTP: all that the SFU and browsers ask of each other.
 */
import {
  cipherSuite,
  concatBytes,
  decodeServerHello,
  decodeServerKeyExchange,
  dtls12,
  dtlsContentType,
  extensionType,
  handshakeHeaderBytes,
  handshakeType,
  messageBody,
  messageType,
  namedGroup,
  protectedEpoch,
  putFragmentHeader,
  putU16,
  putU24,
  RecordProtection,
  signatureScheme,
  srtpProfileId,
} from '../../../tunnel-protocol/index.ts';
import type { ClientEngine, DtlsAead, FlightMessage, SrtpKeyMaterial } from '../../../tunnel-protocol/index.ts';
import { unshared } from './certificate.ts';
import type { PageIdentity, Subtle } from './certificate.ts';
import { masterSecretOf, recordKeysOf, srtpKeysOf, verifyDataOf } from './key-schedule.ts';

const none: Uint8Array = new Uint8Array(0);
const ecdh = { name: 'ECDH', namedCurve: 'P-256' } as const;

export class WebCryptoEngine implements ClientEngine {
  readonly localRandom: Uint8Array;
  readonly #identity: PageIdentity;
  readonly #subtle: Subtle;
  readonly #aead: DtlsAead;
  #sequence = 0;
  #transcript: Uint8Array[] = [];
  #serverRandom: Uint8Array = none;
  #serverKey: Uint8Array = none;
  #profile: SrtpKeyMaterial['profile'] = 'AEAD_AES_128_GCM';
  #certificateRequested = false;
  #masterSecret: Uint8Array = none;

  /** `random`: 32 bytes. */
  constructor(identity: PageIdentity, subtle: Subtle, aead: DtlsAead, random: Uint8Array) {
    this.#identity = identity;
    this.#subtle = subtle;
    this.#aead = aead;
    this.localRandom = random;
  }

  start(): Promise<readonly FlightMessage[]> {
    return Promise.resolve([this.#plain(handshakeType.clientHello, this.#clientHello(none))]);
  }

  async deliver(message: Uint8Array): Promise<readonly FlightMessage[]> {
    const body = messageBody(message);
    switch (messageType(message)) {
      case handshakeType.helloVerifyRequest:
        // RFC 6347 section 4.2.6: neither it nor the first ClientHello is part of the transcript.
        this.#transcript = [];
        return [this.#plain(handshakeType.clientHello, this.#clientHello(body.subarray(3)))];
      case handshakeType.serverHello: {
        const hello = decodeServerHello(body);
        if (hello === null) throw new Error('ServerHello was not checked');
        this.#serverRandom = hello.random.slice();
        const isGcm = hello.srtpProfiles[0] === srtpProfileId.aeadAes128Gcm;
        this.#profile = isGcm ? 'AEAD_AES_128_GCM' : 'AES_CM_128_HMAC_SHA1_80';
        break;
      }
      case handshakeType.serverKeyExchange:
        this.#serverKey = decodeServerKeyExchange(body)?.publicKey.slice() ?? none;
        break;
      case handshakeType.certificateRequest:
        this.#certificateRequested = true;
        break;
      default:
    }
    this.#transcript.push(message.slice());
    return messageType(message) === handshakeType.serverHelloDone ? this.#answer() : [];
  }

  peerVerifyData(): Uint8Array {
    return verifyDataOf(this.#masterSecret, 'server', concatBytes(this.#transcript));
  }

  protection(): RecordProtection {
    const { client, server } = recordKeysOf(this.#masterSecret, this.localRandom, this.#serverRandom);
    return new RecordProtection(this.#aead, client, server);
  }

  srtpKeys(): SrtpKeyMaterial {
    return srtpKeysOf(this.#masterSecret, this.localRandom, this.#serverRandom, this.#profile);
  }

  async #answer(): Promise<readonly FlightMessage[]> {
    const subtle = this.#subtle;
    const own = await subtle.generateKey(ecdh, false, ['deriveBits']);
    // Refuses a point that is not on the curve.
    const peer = await subtle.importKey('raw', unshared(this.#serverKey), ecdh, false, []);
    const shared = new Uint8Array(await subtle.deriveBits({ name: 'ECDH', public: peer }, own.privateKey, 256));
    const publicKey = new Uint8Array(await subtle.exportKey('raw', own.publicKey));

    const flight: FlightMessage[] = [];
    if (this.#certificateRequested) {
      const { certificate } = this.#identity;
      const list = new Uint8Array(6 + certificate.length);
      putU24(list, 0, 3 + certificate.length);
      putU24(list, 3, certificate.length);
      list.set(certificate, 6);
      flight.push(this.#plain(handshakeType.certificate, list));
    }
    const exchange = concatBytes([Uint8Array.of(publicKey.length), publicKey]);
    flight.push(this.#plain(handshakeType.clientKeyExchange, exchange));
    const covered = concatBytes(this.#transcript);
    this.#masterSecret = masterSecretOf(shared, covered);
    if (this.#certificateRequested) {
      const signature = await this.#identity.sign(covered);
      const verify = new Uint8Array(4 + signature.length);
      putU16(verify, 0, signatureScheme.ecdsaSecp256r1Sha256);
      putU16(verify, 2, signature.length);
      verify.set(signature, 4);
      flight.push(this.#plain(handshakeType.certificateVerify, verify));
    }
    flight.push({ type: dtlsContentType.changeCipherSpec, epoch: 0, bytes: Uint8Array.of(1) });
    const finished = verifyDataOf(this.#masterSecret, 'client', concatBytes(this.#transcript));
    flight.push({ ...this.#plain(handshakeType.finished, finished), epoch: protectedEpoch });
    return flight;
  }

  /** A handshake message with the next number, which the transcript takes as well. */
  #plain(type: number, body: Uint8Array): FlightMessage {
    const bytes = new Uint8Array(handshakeHeaderBytes + body.length);
    putFragmentHeader(bytes, 0, type, body.length, this.#sequence++, 0, body.length);
    bytes.set(body, handshakeHeaderBytes);
    this.#transcript.push(bytes);
    return { type: dtlsContentType.handshake, epoch: 0, bytes };
  }

  #clientHello(cookie: Uint8Array): Uint8Array {
    const extensions = concatBytes([
      extension(extensionType.supportedGroups, [0, 2, 0, namedGroup.secp256r1]),
      extension(extensionType.signatureAlgorithms, [0, 2, ...word(signatureScheme.ecdsaSecp256r1Sha256)]),
      extension(extensionType.useSrtp, [
        0,
        4,
        ...word(srtpProfileId.aeadAes128Gcm),
        ...word(srtpProfileId.aes128CmSha1Tag80),
        0,
      ]),
      extension(extensionType.extendedMasterSecret, []),
      extension(extensionType.renegotiationInfo, [0]),
    ]);
    return concatBytes([
      Uint8Array.from(word(dtls12)),
      this.localRandom,
      Uint8Array.of(0, cookie.length),
      cookie,
      Uint8Array.of(0, 2, ...word(cipherSuite.ecdheEcdsaAes128Gcm), 1, 0, ...word(extensions.length)),
      extensions,
    ]);
  }
}

function word(value: number): [number, number] {
  return [value >>> 8, value & 0xff];
}

function extension(type: number, data: readonly number[]): Uint8Array {
  return Uint8Array.from([...word(type), ...word(data.length), ...data]);
}
