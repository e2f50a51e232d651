/**
 * The page's own media transport: one ICE path (the tunnel), DTLS as the client, SRTP. When the tunnel moves to another
 * connection the path is nominated anew; DTLS and SRTP know nothing of it.
 */
import {
  SrtpSession,
  classifyDatagram,
  createDtlsCounters,
  datagramClass,
  isRtcp,
  isSrtpError,
  transportMeta,
} from '../../tunnel-protocol/index.ts';
import type { ControlRung, DtlsSession, SendMeta, SrtpKeyMaterial } from '../../tunnel-protocol/index.ts';
import type { ClientClock } from '../clock.ts';
import { ClientError } from '../errors.ts';
import { IceClient } from '../ice/index.ts';
import type { IceClientEvent } from '../ice/index.ts';
import { createPageDtls, pageHmacSha1, pageSrtpCrypto } from './dtls/index.ts';
import type { PageIdentity, Subtle } from './dtls/index.ts';
import type { PageAnswer } from './sdp.ts';

export interface TunnelTransportOptions {
  readonly identity: PageIdentity;
  readonly subtle: Subtle;
  readonly clock: ClientClock;
  /** Towards the tunnel; borrowed until the call returns. */
  readonly send: (datagram: Uint8Array, meta: SendMeta) => void;
}

export interface TunnelTransportEvents {
  /** Media can flow. Once. */
  connected(): void;
  /** The server sends to the present path from now on. */
  nominated(): void;
  roundTrip(ms: number): void;
  /** Authenticated and in clear; the receiver's to keep. */
  rtp(packet: Uint8Array): void;
  rtcp(compound: Uint8Array): void;
  /** Once; nothing follows. */
  closed(error: ClientError): void;
}

const pathId = 'tunnel';
/** The server may not have the path yet, or it stalled longer than checks wait. */
const againMs = 1_000;

export class TunnelTransport {
  readonly #options: TunnelTransportOptions;
  readonly #events: TunnelTransportEvents;
  readonly #ice: IceClient;
  #answer: PageAnswer | null = null;
  #rung: ControlRung | null = null;
  #dtls: DtlsSession | null = null;
  #srtp: SrtpSession | null = null;
  #roundTripMs: number | null = null;
  #timer: unknown = null;
  #againTimer: unknown = null;
  #closed = false;

  constructor(options: TunnelTransportOptions, events: TunnelTransportEvents) {
    this.#options = options;
    this.#events = events;
    this.#ice = new IceClient({
      random: (length) => crypto.getRandomValues(new Uint8Array(length)),
      hmacSha1: pageHmacSha1,
    });
  }

  /** For the offer. */
  get localIce(): { readonly ufrag: string; readonly pwd: string } {
    return this.#ice.local;
  }

  start(answer: PageAnswer): void {
    if (this.#answer !== null || this.#closed) return;
    this.#answer = answer;
    this.#ice.setRemote(answer.ice, this.#now());
    this.#begin();
  }

  /** What the tunnel runs on now, which to the server is a path like none before; null while there is none. */
  setPath(rung: ControlRung | null): void {
    this.#rung = rung;
    this.#ice.removePath(pathId);
    this.#begin();
  }

  /** One datagram of the tunnel; borrowed. */
  receive(datagram: Uint8Array): void {
    if (this.#closed) return;
    switch (classifyDatagram(datagram)) {
      case datagramClass.stun:
        this.#ice.receive(pathId, datagram, this.#now());
        this.#run();
        return;
      case datagramClass.dtls:
        this.#dtls?.receive(datagram);
        return;
      case datagramClass.rtp:
        this.#receiveMedia(datagram);
        return;
      default:
    }
  }

  /** In clear; borrowed. */
  sendRtp(packet: Uint8Array, meta: SendMeta): boolean {
    return this.#sendMedia(this.#srtp?.protectRtp(packet) ?? null, meta);
  }

  sendRtcp(compound: Uint8Array): boolean {
    return this.#sendMedia(this.#srtp?.protectRtcp(compound) ?? null, transportMeta);
  }

  /** Idempotent; no event follows. */
  close(): void {
    if (this.#closed) return;
    this.#dtls?.close();
    this.#shut();
  }

  #now(): number {
    return this.#options.clock.now();
  }

  /** There is one path only, so it is nominated with its first check. */
  #begin(): void {
    this.#stopAgain();
    if (this.#rung === null || this.#answer === null || this.#closed) return;
    const now = this.#now();
    this.#ice.addPath(pathId, this.#rung, now);
    this.#ice.nominate(pathId, now);
    this.#run();
    // Comes behind the nomination, on a path that keeps the order.
    this.#startDtls(this.#answer);
  }

  #run(): void {
    for (let event = this.#ice.nextEvent(); event !== null; event = this.#ice.nextEvent()) this.#handle(event);
    for (let out = this.#ice.nextOutput(); out !== null; out = this.#ice.nextOutput()) {
      this.#options.send(out.datagram, transportMeta);
    }
    this.#schedule();
  }

  #schedule(): void {
    const { clock } = this.#options;
    if (this.#timer !== null) clock.clearTimer(this.#timer);
    this.#timer = null;
    const at = this.#ice.nextTimeout();
    if (at === null || at === Infinity || this.#closed) return;
    this.#timer = clock.setTimer(
      () => {
        this.#timer = null;
        this.#ice.handleTimeout(this.#now());
        this.#run();
      },
      Math.max(0, at - this.#now()),
    );
  }

  #handle(event: IceClientEvent): void {
    switch (event.type) {
      case 'nominated':
        this.#events.nominated();
        return;
      case 'round-trip':
        this.#roundTripMs = event.ms;
        this.#events.roundTrip(event.ms);
        return;
      case 'failed':
      case 'nomination-failed':
        this.#ice.removePath(pathId);
        this.#stopAgain();
        this.#againTimer = this.#options.clock.setTimer(() => {
          this.#againTimer = null;
          this.#begin();
        }, againMs);
        return;
      default:
    }
  }

  #stopAgain(): void {
    if (this.#againTimer !== null) this.#options.clock.clearTimer(this.#againTimer);
    this.#againTimer = null;
  }

  #receiveMedia(datagram: Uint8Array): void {
    const srtp = this.#srtp;
    if (srtp === null) return;
    const control = isRtcp(datagram);
    const packet = control ? srtp.unprotectRtcp(datagram) : srtp.unprotectRtp(datagram);
    // Refusals are counted by the session.
    if (isSrtpError(packet)) return;
    if (control) this.#events.rtcp(packet);
    else this.#events.rtp(packet);
  }

  #sendMedia(datagram: Uint8Array | number | null, meta: SendMeta): boolean {
    if (datagram === null || typeof datagram === 'number' || this.#rung === null) return false;
    this.#options.send(datagram, meta);
    return true;
  }

  #startDtls({ fingerprint }: PageAnswer): void {
    if (this.#dtls !== null || this.#closed) return;
    const { identity, subtle, clock, send } = this.#options;
    this.#dtls = createPageDtls(
      {
        identity,
        subtle,
        clock,
        remoteFingerprint: fingerprint,
        counters: createDtlsCounters(),
        roundTripMs: this.#roundTripMs,
        send: (datagram) => {
          send(datagram, transportMeta);
        },
      },
      {
        onConnected: (keys) => {
          this.#connected(keys);
        },
        // Data channels are turned down by the answer.
        onData: () => undefined,
        onClosed: (reason) => {
          if (this.#closed) return;
          this.#shut();
          this.#events.closed(errorOfDtls(reason));
        },
      },
    );
    this.#dtls.start();
  }

  #connected(keys: SrtpKeyMaterial): void {
    if (this.#closed) return;
    this.#srtp = new SrtpSession(keys, pageSrtpCrypto);
    this.#events.connected();
  }

  #shut(): void {
    this.#closed = true;
    this.#srtp = null;
    const { clock } = this.#options;
    if (this.#timer !== null) clock.clearTimer(this.#timer);
    this.#stopAgain();
  }
}

function errorOfDtls(reason: string): ClientError {
  if (reason === 'refused-fingerprint') return new ClientError('fingerprint-mismatch');
  if (reason === 'close-notify')
    return new ClientError('session-ended', { detail: 'the server closed the media session' });
  return new ClientError('handshake-failed', { detail: reason });
}
