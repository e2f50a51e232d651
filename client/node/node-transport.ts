/**
 * The media transport of a Node client: DTLS as the client and SRTP, over whichever path carries media. Rungs change by
 * nomination; DTLS and SRTP know nothing of it.
 */
import crypto from 'node:crypto';
import {
  SrtpSession,
  classifyDatagram,
  dataMeta,
  datagramClass,
  isRtcp,
  isSrtpError,
  srtpCryptoFrom,
  transportMeta,
} from '../../tunnel-protocol/index.ts';
import type { DtlsIdentity, Rung, SendMeta, SrtpKeyMaterial } from '../../tunnel-protocol/index.ts';
import type { RungAttempt, RungChange } from '../call.ts';
import { DtlsClientTransport, createDtlsCounters } from '../dtls/index.ts';
import { Emitter } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import type { LadderEvent } from './ladder-log.ts';
import { MediaPaths } from './media-paths.ts';
import type { MediaPathsOptions } from './media-paths.ts';
import type { Answer } from './sdp-answer.ts';

export interface NodeTransportOptions extends MediaPathsOptions {
  readonly identity: DtlsIdentity;
}

export interface NodeTransportEvents {
  /** Media can flow. Once. */
  connected: undefined;
  rung: RungChange;
  /** An attempt to open a rung has ended. */
  attempt: RungAttempt;
  ladder: LadderEvent;
  /** Authenticated and in clear; the receiver's to keep. */
  rtp: Uint8Array;
  rtcp: Uint8Array;
  /** An SCTP packet; the receiver's to keep. */
  data: Uint8Array;
  /** RTP that was sent is dropped, because its path is too slow. Do not send from here. */
  dropped: SendMeta;
  /** Once: the DTLS session failed or ended. Nothing follows. */
  closed: ClientError;
}

const srtpCrypto = srtpCryptoFrom(crypto);

export class NodeTransport extends Emitter<NodeTransportEvents> {
  readonly #options: NodeTransportOptions;
  readonly #paths: MediaPaths;
  #dtls: DtlsClientTransport | null = null;
  #srtp: SrtpSession | null = null;
  #answer: Answer | null = null;
  #closed = false;
  #dropped = 0;
  /** Of what DTLS sends now. */
  #sendMeta: SendMeta = transportMeta;

  constructor(options: NodeTransportOptions) {
    super();
    this.#options = options;
    this.#paths = new MediaPaths(options, {
      datagram: (pathId, datagram) => {
        this.#receive(pathId, datagram);
      },
      ready: () => {
        this.#startDtls();
      },
      rung: (change) => {
        this.emit('rung', change);
      },
      attempt: (attempt) => {
        this.emit('attempt', attempt);
      },
      ladder: (event) => {
        this.emit('ladder', event);
      },
      dropped: (meta) => {
        this.emit('dropped', meta);
      },
    });
  }

  /** This side's ICE credentials, for the offer. */
  get localIce(): { readonly ufrag: string; readonly pwd: string } {
    return this.#paths.localIce;
  }

  /** The rung that carries media, or carried it last; null before the first. */
  get rung(): Rung | null {
    return this.#paths.rung;
  }

  get roundTripMs(): number | null {
    return this.#paths.roundTripMs;
  }

  get attempts(): readonly RungAttempt[] {
    return this.#paths.attempts;
  }

  get ladderLog(): readonly LadderEvent[] {
    return this.#paths.ladderLog;
  }

  /** Packets that had no path to go by. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Begins with the server's answer: checks on all paths at once. Throws ClientError when there is none to check. */
  start(answer: Answer): void {
    this.#answer = answer;
    this.#paths.start(answer);
  }

  /** In clear and given away. False when it went nowhere; what went may be dropped later, which `dropped` tells. */
  sendRtp(packet: Uint8Array, meta: SendMeta): boolean {
    return this.#sendMedia(this.#srtp?.protectRtp(packet) ?? null, meta);
  }

  sendRtcp(compound: Uint8Array): boolean {
    return this.#sendMedia(this.#srtp?.protectRtcp(compound) ?? null, transportMeta);
  }

  /** Sends one SCTP packet. */
  sendData(packet: Uint8Array): void {
    this.#sendMeta = dataMeta;
    this.#dtls?.sendData(packet);
    this.#sendMeta = transportMeta;
  }

  /** Nominates a path of this rung and stays there while it works. Rejects with `rung-unavailable`. */
  switchTo(rung: Rung): Promise<void> {
    return this.#paths.switchTo(rung);
  }

  /** Idempotent; no event follows. */
  close(): void {
    if (this.#closed) return;
    this.#dtls?.close();
    this.#shut();
  }

  #shut(): void {
    this.#closed = true;
    this.#srtp = null;
    this.#paths.close();
  }

  #receive(pathId: string, datagram: Uint8Array): void {
    switch (classifyDatagram(datagram)) {
      case datagramClass.dtls:
        this.#dtls?.receive(datagram);
        return;
      case datagramClass.rtp:
        this.#receiveMedia(pathId, datagram);
        return;
      default:
    }
  }

  #receiveMedia(pathId: string, datagram: Uint8Array): void {
    const srtp = this.#srtp;
    if (srtp === null) return;
    const control = isRtcp(datagram);
    const packet = control ? srtp.unprotectRtcp(datagram) : srtp.unprotectRtp(datagram);
    // Refusals are counted by the session.
    if (isSrtpError(packet)) return;
    this.#paths.heard(pathId, datagram.length);
    this.emit(control ? 'rtcp' : 'rtp', packet);
  }

  #sendMedia(datagram: Uint8Array | number | null, meta: SendMeta): boolean {
    if (datagram !== null && typeof datagram !== 'number' && this.#paths.send(datagram, meta)) return true;
    this.#dropped += 1;
    return false;
  }

  #startDtls(): void {
    if (this.#dtls !== null || this.#answer === null || this.#closed) return;
    const { identity } = this.#options;
    const { roundTripMs } = this.#paths;
    this.#dtls = new DtlsClientTransport(
      {
        identity,
        remoteFingerprint: this.#answer.fingerprint,
        counters: createDtlsCounters(),
        ...(roundTripMs === null ? {} : { roundTripMs }),
        send: (datagram) => {
          this.#paths.send(datagram, this.#sendMeta);
        },
      },
      {
        onConnected: (keys) => {
          this.#connected(keys);
        },
        onData: (packet) => {
          this.emit('data', packet);
        },
        onClosed: (reason) => {
          if (this.#closed) return;
          this.#shut();
          this.emit('closed', errorOfDtls(reason));
        },
      },
    );
    this.#dtls.start();
  }

  #connected(keys: SrtpKeyMaterial): void {
    if (this.#closed) return;
    this.#srtp = new SrtpSession(keys, srtpCrypto);
    this.emit('connected', undefined);
  }
}

function errorOfDtls(reason: string): ClientError {
  if (reason === 'refused-fingerprint') return new ClientError('fingerprint-mismatch');
  if (reason === 'close-notify')
    return new ClientError('session-ended', { detail: 'the server closed the media session' });
  return new ClientError('handshake-failed', { detail: reason });
}
