/**
 * The media transport of a Node client: ICE over UDP and the tunnel, DTLS as the client, SRTP. Rungs change by nomination;
 * DTLS and SRTP know nothing of it.
 */
import crypto from 'node:crypto';
import {
  SrtpSession,
  classifyDatagram,
  datagramClass,
  isRtcp,
  isSrtpError,
  srtpCryptoFrom,
} from '../../tunnel-protocol/index.ts';
import type { DtlsIdentity, Rung, SrtpKeyMaterial, TransportAddress } from '../../tunnel-protocol/index.ts';
import type { RungChange } from '../call.ts';
import type { ClientClock } from '../clock.ts';
import type { ControlClient } from '../control/index.ts';
import { DtlsClientTransport, createDtlsCounters } from '../dtls/index.ts';
import { Emitter } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import { IceDriver } from './ice-driver.ts';
import type { Answer } from './sdp-answer.ts';
import { UdpSockets } from './udp-sockets.ts';

export interface NodeTransportOptions {
  readonly identity: DtlsIdentity;
  readonly control: ControlClient;
  /** Those that may be used: `udp`, `websocket`, or both. */
  readonly rungs: ReadonlySet<Rung>;
  readonly clock: ClientClock;
}

export interface NodeTransportEvents {
  /** Media can flow. Once. */
  connected: undefined;
  rung: RungChange;
  /** Authenticated and in clear; the receiver's to keep. */
  rtp: Uint8Array;
  rtcp: Uint8Array;
  /** Once: the DTLS session failed or ended. Nothing follows. */
  closed: ClientError;
}

const tunnelPathId = 'websocket';
const switchTimeoutMs = 8_000;
const srtpCrypto = srtpCryptoFrom(crypto);

export class NodeTransport extends Emitter<NodeTransportEvents> {
  readonly #options: NodeTransportOptions;
  readonly #ice: IceDriver;
  readonly #candidates = new Map<string, TransportAddress>();
  readonly #pathIds = new Map<TransportAddress, string>();
  readonly #subscriptions: (() => void)[] = [];
  #udp: UdpSockets | null = null;
  #dtls: DtlsClientTransport | null = null;
  #srtp: SrtpSession | null = null;
  #answer: Answer | null = null;
  /** Where datagrams are sent: the nominated path, or before that the one being nominated. */
  #sendPath: string | null = null;
  #rung: Rung | null = null;
  #roundTripMs: number | null = null;
  #closed = false;
  #dropped = 0;

  constructor(options: NodeTransportOptions) {
    super();
    this.#options = options;
    this.#ice = new IceDriver(options.clock, {
      send: (pathId, datagram) => {
        this.#send(pathId, datagram);
      },
      nominating: (pathId) => {
        if (this.#sendPath !== null) return;
        this.#sendPath = pathId;
        this.#startDtls();
      },
      nominated: (pathId, reason) => {
        this.#nominated(pathId, reason);
      },
      stranded: () => {
        this.#sendPath = null;
        this.#roundTripMs = null;
      },
      roundTrip: (pathId, ms) => {
        if (pathId === this.#sendPath) this.#roundTripMs = ms;
      },
    });
    const { control } = options;
    this.#subscriptions.push(
      control.on('datagram', (datagram) => {
        if (options.rungs.has('websocket')) this.#receive(tunnelPathId, datagram);
      }),
      control.on('connected', () => {
        // Another connection is another path at the server.
        if (this.#answer !== null && options.rungs.has('websocket')) this.#ice.addPath(tunnelPathId, 'websocket');
      }),
      control.on('disconnected', () => {
        this.#ice.removePath(tunnelPathId);
      }),
    );
  }

  /** This side's ICE credentials, for the offer. */
  get localIce(): { readonly ufrag: string; readonly pwd: string } {
    return this.#ice.local;
  }

  /** The rung that carries media, or carried it last; null before the first. */
  get rung(): Rung | null {
    return this.#rung;
  }

  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /** Packets that had no path to go by. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Begins with the server's answer: checks on all paths at once. Throws ClientError when there is none to check. */
  start(answer: Answer): void {
    const { rungs, control } = this.#options;
    this.#answer = answer;
    if (rungs.has('udp')) this.#addUdpPaths(answer.candidates);
    if (rungs.has('websocket') && control.connected) this.#ice.addPath(tunnelPathId, 'websocket');
    if (this.#candidates.size === 0 && !rungs.has('websocket')) {
      throw new ClientError('media-unreachable', { detail: 'the server offers no UDP address' });
    }
    this.#ice.start(answer.ice);
  }

  /** In clear and given away. False when it went nowhere. */
  sendRtp(packet: Uint8Array): boolean {
    return this.#sendMedia(this.#srtp?.protectRtp(packet) ?? null);
  }

  sendRtcp(compound: Uint8Array): boolean {
    return this.#sendMedia(this.#srtp?.protectRtcp(compound) ?? null);
  }

  /** Nominates a path of this rung and stays there while it works. Rejects with `rung-unavailable`. */
  async switchTo(rung: Rung): Promise<void> {
    if (!this.#options.rungs.has(rung)) throw new ClientError('rung-unavailable', { detail: `${rung} is not allowed` });
    const before = this.#ice.pinned;
    this.#ice.prefer(rung);
    if (this.#ice.nominated !== null && this.#ice.rungOf(this.#ice.nominated) === rung) return;
    await new Promise<void>((resolve, reject) => {
      const { clock } = this.#options;
      const offs = [
        this.on('rung', ({ to }) => {
          if (to === rung) done(null);
        }),
        this.on('closed', done),
      ];
      const timer = clock.setTimer(() => {
        if (this.#ice.pinned === rung) this.#ice.prefer(before);
        done(new ClientError('rung-unavailable', { detail: rung }));
      }, switchTimeoutMs);
      function done(error: ClientError | null): void {
        clock.clearTimer(timer);
        for (const off of offs) off();
        if (error === null) resolve();
        else reject(error);
      }
    });
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
    for (const off of this.#subscriptions) off();
    this.#ice.close();
    this.#udp?.close();
  }

  #addUdpPaths(candidates: readonly TransportAddress[]): void {
    this.#udp = new UdpSockets(candidates, {
      datagram: (candidate, datagram) => {
        const pathId = this.#pathIds.get(candidate);
        if (pathId !== undefined) this.#receive(pathId, datagram);
      },
    });
    for (const [index, candidate] of candidates.entries()) {
      const pathId = `udp-${String(index)}`;
      this.#candidates.set(pathId, candidate);
      this.#pathIds.set(candidate, pathId);
      this.#ice.addPath(pathId, 'udp');
    }
  }

  #receive(pathId: string, datagram: Uint8Array): void {
    if (this.#closed) return;
    switch (classifyDatagram(datagram)) {
      case datagramClass.stun:
        this.#ice.receive(pathId, datagram);
        return;
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
    this.#ice.heard(pathId);
    this.emit(control ? 'rtcp' : 'rtp', packet);
  }

  #sendMedia(datagram: Uint8Array | number | null): boolean {
    if (datagram !== null && typeof datagram !== 'number' && this.#sendPath !== null) {
      if (this.#send(this.#sendPath, datagram)) return true;
    }
    this.#dropped += 1;
    return false;
  }

  #send(pathId: string, datagram: Uint8Array): boolean {
    if (pathId === tunnelPathId) return this.#options.control.sendDatagram(datagram);
    const candidate = this.#candidates.get(pathId);
    return candidate !== undefined && this.#udp !== null && this.#udp.send(candidate, datagram);
  }

  #nominated(pathId: string, reason: RungChange['reason']): void {
    const to = this.#ice.rungOf(pathId);
    if (to === null) return;
    const from = this.#rung;
    this.#sendPath = pathId;
    this.#rung = to;
    this.#startDtls();
    if (from !== to) this.emit('rung', { from, to, reason });
  }

  #startDtls(): void {
    if (this.#dtls !== null || this.#answer === null) return;
    const { identity } = this.#options;
    this.#dtls = new DtlsClientTransport(
      {
        identity,
        remoteFingerprint: this.#answer.fingerprint,
        counters: createDtlsCounters(),
        ...(this.#roundTripMs === null ? {} : { roundTripMs: this.#roundTripMs }),
        send: (datagram) => {
          if (this.#sendPath !== null) this.#send(this.#sendPath, datagram);
        },
      },
      {
        onConnected: (keys) => {
          this.#connected(keys);
        },
        // Data channels are not offered a transport: the answer turns them down.
        onData: () => undefined,
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
