/** A client like a Node client: one transport on any paths, here in memory, moved between them by nominations. */
import * as nodeCrypto from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  classifyDatagram,
  createIceCredentials,
  datagramClass,
  isRtcp,
  isSrtpError,
  SrtpSession,
  srtpCryptoFrom,
} from '../../tunnel-protocol/index.ts';
import type { DtlsIdentity, IceCredentials, Path, Rung, SendMeta } from '../../tunnel-protocol/index.ts';
import { systemClock } from '../dtls/clock.ts';
import { ClientPeer } from '../dtls/testing/client-peer.ts';
import { check } from '../ice/testing/ice-test-kit.ts';
import type { Sfu } from '../sfu.ts';
import { testdata } from './testdata.ts';
import type { TunnelClient } from './tunnel.ts';

const random = (length: number): Uint8Array => nodeCrypto.randomBytes(length);
const chromiumOffer = readFileSync(testdata('chromium-156-offer.sdp'), 'utf8');

export interface ReceivedPacket {
  readonly packet: Uint8Array;
  readonly meta: SendMeta;
  readonly path: Path;
}

export class NativePeer {
  readonly rtp: ReceivedPacket[] = [];
  readonly rtcp: ReceivedPacket[] = [];
  onPacket: (() => void) | null = null;
  /** The answer to the last offer. */
  answer = '';
  readonly #sfu: Sfu;
  readonly #client: TunnelClient;
  readonly #identity: DtlsIdentity;
  #local: IceCredentials = createIceCredentials(random);
  #remote: IceCredentials = { ufrag: '', pwd: '' };
  #dtls: ClientPeer | null = null;
  #srtp: SrtpSession | null = null;
  /** Where this side sends. */
  #path: Path | null = null;
  #nomination = 0;

  constructor(sfu: Sfu, client: TunnelClient, identity: DtlsIdentity) {
    this.#sfu = sfu;
    this.#client = client;
    this.#identity = identity;
    client.onDatagram = (datagram, meta, path) => {
      this.#receive(path, datagram, meta);
    };
  }

  /** A path of some other rung than the control channel's. */
  openPath(kind: Rung): Path {
    const path: Path = {
      kind,
      reliable: kind !== 'udp',
      ordered: kind !== 'udp',
      mtu: 1472,
      remote: { address: '192.0.2.7', port: 7 },
      owner: null,
      send: (datagram, meta) => {
        this.#receive(path, datagram, meta);
        return true;
      },
      bind: () => undefined,
      unbind: () => undefined,
      close: () => undefined,
    };
    return path;
  }

  /** Offers; with other credentials than before when `restart`. `fingerprint` replaces the real one. */
  async offer(options: { restart?: boolean; fingerprint?: string } = {}): Promise<void> {
    if (options.restart === true) this.#local = createIceCredentials(random);
    const sdp = chromiumOffer
      .replaceAll(/a=ice-ufrag:.*/g, `a=ice-ufrag:${this.#local.ufrag}`)
      .replaceAll(/a=ice-pwd:.*/g, `a=ice-pwd:${this.#local.pwd}`)
      .replaceAll(/a=fingerprint:.*/g, `a=fingerprint:sha-256 ${options.fingerprint ?? this.#identity.fingerprint}`);
    this.answer = (await this.#client.must({ type: 'offer', sdp })).sdp;
    const attribute = (name: string): string =>
      new RegExp(`a=${name}:(?:sha-256 )?(\\S+)`).exec(this.answer)?.[1] ?? '';
    this.#remote = { ufrag: attribute('ice-ufrag'), pwd: attribute('ice-pwd') };
    this.#dtls ??= new ClientPeer(
      {
        identity: this.#identity,
        serverFingerprint: attribute('fingerprint'),
        clock: systemClock,
        send: (datagram) => {
          if (this.#path !== null) this.#sfu.receive(this.#path, datagram);
        },
      },
      {
        onConnected: (keys) => {
          this.#srtp = new SrtpSession(keys, srtpCryptoFrom(nodeCrypto));
          this.onPacket?.();
        },
        onData: () => undefined,
        onClosed: () => this.onPacket?.(),
      },
    );
  }

  /** A connectivity check; the first one makes the path valid. */
  check(path: Path, useCandidate = false): void {
    const nomination = useCandidate ? { useCandidate, nomination: ++this.#nomination } : {};
    this.#sfu.receive(path, check({ from: this.#local, to: this.#remote, ...nomination }));
  }

  /** From now on media goes this way, in both directions. */
  nominate(path: Path): void {
    this.#path = path;
    this.check(path, true);
  }

  async handshake(): Promise<void> {
    this.#dtls?.session.start();
    while (this.#srtp === null) await this.next();
  }

  sendRtp(packet: Uint8Array, path = this.#path): void {
    const datagram = this.#srtp?.protectRtp(packet);
    if (datagram === undefined || isSrtpError(datagram)) throw new Error('cannot be protected');
    if (path !== null) this.#sfu.receive(path, datagram);
  }

  sendRtcp(compound: Uint8Array): void {
    const datagram = this.#srtp?.protectRtcp(compound);
    if (datagram === undefined || isSrtpError(datagram)) throw new Error('cannot be protected');
    if (this.#path !== null) this.#sfu.receive(this.#path, datagram);
  }

  /** Resolves when something has come. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.onPacket = resolve;
    });
  }

  close(): void {
    this.#dtls?.session.close();
  }

  #receive(path: Path, datagram: Uint8Array, meta: SendMeta): void {
    const kind = classifyDatagram(datagram);
    // The SFU's own call must be over before this side answers, as on a real network.
    if (kind === datagramClass.dtls) queueMicrotask(() => this.#dtls?.session.receive(datagram));
    if (kind !== datagramClass.rtp || this.#srtp === null) return;
    const control = isRtcp(datagram);
    const packet = control ? this.#srtp.unprotectRtcp(datagram) : this.#srtp.unprotectRtp(datagram);
    if (isSrtpError(packet)) throw new Error('what the SFU sent cannot be read');
    (control ? this.rtcp : this.rtp).push({ packet, meta, path });
    this.onPacket?.();
  }
}
