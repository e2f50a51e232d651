/**
 * A participant that costs its machine little: real signalling, ICE checks, DTLS and SRTP, but no codec, and packets are
 * protected by OpenSSL in batches. It publishes simulcast and sound, and tells what comes by transport-wide feedback.
 */
import crypto, { createHmac, randomBytes, type KeyObject } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { DtlsClient } from 'werift';
import {
  addFingerprint,
  addMessageIntegrity,
  classifyDatagram,
  ClientHandshake,
  createDtlsCounters,
  createIceCredentials,
  datagramClass,
  decodeRtcp,
  DtlsSession,
  dtlsCryptoFrom,
  EngineTransport,
  HandshakeEngine,
  isRtcp,
  isSrtpError,
  NOMINATION,
  SrtpSession,
  srtpCryptoFrom,
  srtpProfileId,
  stunAttribute,
  StunBuilder,
  stunClass,
  stunMethod,
  type DtlsClock,
  type DtlsIdentity,
  type IceCredentials,
  type SrtpEngine,
} from '../../tunnel-protocol/index.ts';
import { createUdpReceiver, createUdpSender, UdpAddress, type loadLibc, type UdpSender } from '../../gateway/index.ts';
import { SignallingClient } from '../e2e/signalling-client.ts';
import { ReceivedMedia } from './received-media.ts';
import { syntheticOffer } from './synthetic-offer.ts';

export interface SyntheticDeps {
  readonly url: string;
  readonly identity: DtlsIdentity;
  readonly engine: SrtpEngine;
  readonly libc: ReturnType<typeof loadLibc>;
}

const random = (length: number): Uint8Array => randomBytes(length);
const hmacSha1 = (key: Uint8Array, data: Uint8Array): Uint8Array => createHmac('sha1', key).update(data).digest();
const dtlsCrypto = dtlsCryptoFrom<KeyObject>(crypto);
const srtpCrypto = srtpCryptoFrom(crypto);
const clock: DtlsClock = {
  now: () => performance.now(),
  setTimer: (fire, ms) => setTimeout(fire, ms).unref(),
  clearTimer: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
};
const receiveBufferBytes = 1_048_576;
/** Consent is asked for twice in the time after which it would be gone (RFC 7675). */
const consentMs = 10_000;
const feedbackMs = 100;
const connectMs = 60_000;

export class SyntheticPeer {
  readonly media = new ReceivedMedia();
  /** Of each layer, by its SSRC: a key frame is asked for. */
  onKeyFrameRequest: ((ssrc: number) => void) | null = null;
  readonly #deps: SyntheticDeps;
  readonly #signalling: SignallingClient;
  readonly #socket: Socket;
  readonly #sender: UdpSender;
  readonly #local = createIceCredentials(random);
  #remote: IceCredentials = { ufrag: '', pwd: '' };
  #to: UdpAddress | null = null;
  #dtls: DtlsSession | null = null;
  #srtp: SrtpSession | null = null;
  #timers: NodeJS.Timeout[] = [];
  /** Bytes of each queued packet, in order. */
  readonly #lengths: number[] = [];
  sent = 0;

  static async join(deps: SyntheticDeps, room: string, name: string): Promise<SyntheticPeer> {
    const signalling = await SignallingClient.open(deps.url, room, name);
    const socket = createSocket({ type: 'udp4', recvBufferSize: receiveBufferBytes });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const peer = new SyntheticPeer(deps, signalling, socket);
    await signalling.request({ type: 'join' });
    await peer.#connect();
    return peer;
  }

  private constructor(deps: SyntheticDeps, signalling: SignallingClient, socket: Socket) {
    this.#deps = deps;
    this.#signalling = signalling;
    this.#socket = socket;
    this.#sender = createUdpSender(socket, deps.libc, { maxWaitingBytes: 8_388_608 });
    createUdpReceiver(socket, deps.libc, (datagram) => {
      this.#receive(datagram);
    });
  }

  request(body: Parameters<SignallingClient['request']>[0]): Promise<unknown> {
    return this.#signalling.request(body);
  }

  /** Room in the engine for one packet in clear, which {@link queue} takes. */
  open(length: number): number {
    const at = this.#deps.engine.open(length);
    if (at < 0) throw new RangeError('more is sent at once than there is room for');
    return at;
  }

  queue(at: number, length: number): void {
    const job = this.#srtp?.queueRtp(at, length) ?? -1;
    if (job < 0) throw new Error(`cannot be protected: ${String(job)}`);
    this.#lengths.push(length);
  }

  /** Protects and sends what was queued; before the engine is reset. */
  flush(): void {
    const srtp = this.#srtp;
    if (srtp === null || this.#to === null || this.#lengths.length === 0) return;
    const { engine } = this.#deps;
    const sender = this.#sender;
    srtp.sealQueued();
    let next = 0;
    for (let job = srtp.firstQueued; job !== -1; job = engine.next(job)) {
      const at = engine.packetAt(job);
      const length = (this.#lengths[next++] as number) + srtp.tagBytes;
      if (!sender.open(length)) continue;
      sender.bytes.set(engine.bytes.subarray(at, at + length), sender.at);
      sender.commit(this.#to);
      this.sent++;
    }
    srtp.clearQueue();
    this.#lengths.length = 0;
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
    this.#dtls?.close();
    this.#srtp?.close();
    this.#srtp = null;
    this.#signalling.close();
    this.#sender.close();
    this.#socket.close();
  }

  async #connect(): Promise<void> {
    const { identity } = this.#deps;
    const reply = await this.#signalling.request({ type: 'offer', sdp: syntheticOffer(this.#local, identity) });
    if (reply.of !== 'offer') throw new Error('no answer');
    const attribute = (pattern: RegExp): string => pattern.exec(reply.sdp)?.[1] ?? '';
    this.#remote = { ufrag: attribute(/a=ice-ufrag:(\S+)/), pwd: attribute(/a=ice-pwd:(\S+)/) };
    const port = Number(attribute(/a=candidate:\d+ 1 udp \d+ 127\.0\.0\.1 (\d+)/i));
    this.#to = UdpAddress.parse('udp4', '127.0.0.1', port);
    const connected = new Promise<void>((resolve, reject) => {
      const patience = setTimeout(() => {
        reject(new Error('DTLS takes too long'));
      }, connectMs);
      this.#dtls = this.#createDtls(attribute(/a=fingerprint:sha-256 (\S+)/), (failure) => {
        clearTimeout(patience);
        if (failure === null) resolve();
        else reject(new Error(failure));
      });
    });
    this.#check();
    this.#timers.push(
      setInterval(() => {
        this.#check();
      }, consentMs),
      setInterval(() => {
        this.#sendFeedback();
      }, feedbackMs),
    );
    await connected;
  }

  #createDtls(serverFingerprint: string, done: (failure: string | null) => void): DtlsSession {
    const { identity, engine } = this.#deps;
    const transport = new EngineTransport();
    const socket = new DtlsClient({
      transport,
      cert: identity.certPem,
      key: identity.keyPem,
      signatureHash: { hash: 4, signature: 3 },
      srtpProfiles: [srtpProfileId.aeadAes128Gcm],
      extendedMasterSecret: true,
    });
    const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const handshake = new HandshakeEngine('client', socket, transport, dtlsCrypto.aead, asBuffer);
    const fingerprint = { algorithm: 'sha-256', value: serverFingerprint };
    return new DtlsSession(
      {
        logic: new ClientHandshake(handshake, dtlsCrypto, fingerprint, () => socket.connect()),
        send: (datagram) => {
          if (this.#to !== null) this.#sender.send(datagram, this.#to);
        },
        counters: createDtlsCounters(),
        clock,
        mtu: 1200,
        roundTripMs: null,
      },
      {
        onConnected: (keys) => {
          this.#srtp = new SrtpSession(keys, srtpCrypto, undefined, undefined, engine);
          done(null);
        },
        onData: () => undefined,
        onClosed: (reason) => {
          done(reason);
        },
      },
    );
  }

  #check(): void {
    const builder = new StunBuilder(stunClass.request, stunMethod.Binding, random(12));
    builder.text(stunAttribute.USERNAME, `${this.#remote.ufrag}:${this.#local.ufrag}`);
    builder.u32(stunAttribute.PRIORITY, 0x6e7f1eff);
    builder.attribute(stunAttribute.ICE_CONTROLLING, new Uint8Array(8));
    builder.flag(stunAttribute.USE_CANDIDATE).u32(NOMINATION, 1);
    addMessageIntegrity(builder, new TextEncoder().encode(this.#remote.pwd), hmacSha1);
    addFingerprint(builder);
    if (this.#to !== null) this.#sender.send(builder.take(), this.#to);
  }

  #receive(datagram: Uint8Array): void {
    switch (classifyDatagram(datagram)) {
      case datagramClass.stun:
        this.#dtls?.start();
        return;
      case datagramClass.dtls:
        this.#dtls?.receive(datagram);
        return;
      case datagramClass.rtp:
        if (isRtcp(datagram)) this.#receiveRtcp(datagram);
        else if (this.#srtp !== null) this.media.packet(datagram, this.#srtp);
        return;
      default:
    }
  }

  #receiveRtcp(datagram: Uint8Array): void {
    const compound = this.#srtp?.unprotectRtcp(datagram);
    if (compound === undefined || isSrtpError(compound)) return;
    const packets = decodeRtcp(compound);
    if (typeof packets === 'string') return;
    for (const packet of packets) {
      if (packet.type === 'pli') this.onKeyFrameRequest?.(packet.mediaSsrc);
      else if (packet.type === 'fir') for (const { ssrc } of packet.requests) this.onKeyFrameRequest?.(ssrc);
    }
  }

  #sendFeedback(): void {
    const report = this.media.feedback();
    const sealed = report === null ? null : this.#srtp?.protectRtcp(report);
    if (sealed == null || isSrtpError(sealed) || this.#to === null) return;
    this.#sender.send(sealed, this.#to);
  }
}
