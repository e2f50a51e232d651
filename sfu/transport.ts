/**
 * A transport: one ICE-lite agent, one DTLS session (this side is always the server) and one SRTP context. It receives on
 * every validated path and sends on the nominated one; when the nomination moves, nothing else changes.
 */
import { dataMeta, isRtcp, isSrtpError, transportMeta } from '../tunnel-protocol/index.ts';
import type {
  DtlsFingerprint,
  DtlsIdentity,
  Path,
  PathReport,
  SendMeta,
  SrtpCrypto,
  SrtpKeyMaterial,
  SrtpSession,
} from '../tunnel-protocol/index.ts';
import type { Counters } from './counters.ts';
import { DtlsServerTransport } from './dtls/index.ts';
import type { IceLite, IceLiteAgent } from './ice/index.ts';
import type { BatchSender, SendBatch } from './send-batch.ts';

export interface TransportDeps {
  readonly ice: IceLite;
  readonly identity: DtlsIdentity;
  readonly srtpCrypto: SrtpCrypto;
  readonly batch: SendBatch;
  readonly counters: Counters;
}

export interface TransportRemote {
  readonly ice: { readonly ufrag: string; readonly pwd: string };
  readonly fingerprint: DtlsFingerprint;
}

export interface TransportEvents {
  /** Media can be sent as soon as a path is nominated, too. */
  onConnected(): void;
  /** Packets are authenticated, in clear and borrowed. */
  onRtp(packet: Uint8Array, now: number): void;
  onRtcp(compound: Uint8Array, now: number): void;
  /** An SCTP packet; the receiver's to keep. */
  onData(packet: Uint8Array): void;
  /** `wasLost`: the path before was given up, so this one took its place unasked. */
  onNominated(path: Path, wasLost: boolean): void;
  /** Media consent is gone from the last path, or there is consent again. `expired`: the peer was silent for too long. */
  onConsent(granted: boolean, expired: boolean): void;
  /** Whether the other one is of the same participant, whose paths this one may take. */
  isSibling(other: Transport): boolean;
  /** A path dropped what it took before. Comes while something is sent, too. */
  onDropped(meta: SendMeta): void;
  /** The DTLS session ended, by the peer or by a fault; the transport is closed already. */
  onClosed(reason: string): void;
}

export type TransportState = 'new' | 'connected' | 'closed';

export class Transport implements BatchSender {
  /** What the offer said; a further offer with the same fingerprint is about this transport. */
  readonly fingerprint: DtlsFingerprint;
  readonly #deps: TransportDeps;
  readonly #events: TransportEvents;
  readonly #agent: IceLiteAgent;
  #remoteIce: TransportRemote['ice'];
  /** Paths that were validated; some may be lost meanwhile, which their owner tells. */
  readonly #valid = new Set<Path>();
  #dtls: DtlsServerTransport | null = null;
  #srtp: SrtpSession | null = null;
  #state: TransportState = 'new';
  /** Where DTLS came from last, until a path is nominated. */
  #dtlsPath: Path | null = null;
  /** {@link PacketRoom}. */
  readonly bytes: Uint8Array;
  at = 0;
  #opened = 0;
  /** Of what DTLS sends now. */
  #sendMeta: SendMeta = transportMeta;
  #sent = 0;
  #sentBytes = 0;
  #received = 0;
  #receivedBytes = 0;
  readonly #onDrop = (meta: SendMeta): void => {
    // It will not arrive, but not because the path loses it.
    this.#sent--;
    this.#events.onDropped(meta);
  };

  constructor(deps: TransportDeps, remote: TransportRemote, events: TransportEvents) {
    this.#deps = deps;
    this.#events = events;
    this.fingerprint = remote.fingerprint;
    this.#remoteIce = remote.ice;
    this.bytes = deps.batch.bytes;
    this.#agent = deps.ice.createAgent(this, {
      takesOver: (path) => {
        if (!(path.owner instanceof Transport) || !events.isSibling(path.owner)) return false;
        path.owner.forget(path);
        return true;
      },
      onValidated: (path) => {
        this.#dropLostPaths();
        this.#valid.add(path);
        if (path.reliable) path.onDrop = this.#onDrop;
        events.onConsent(true, false);
      },
      onNominated: (path, previous) => {
        events.onNominated(path, previous !== null && previous.owner !== this);
      },
      onConsentLost: () => {
        events.onConsent(false, true);
      },
    });
    this.#agent.setRemote(remote.ice);
    deps.counters.sfu.transports_opened++;
  }

  get state(): TransportState {
    return this.#state;
  }

  /** This side's ICE credentials, for the answer. */
  get localIce(): { readonly ufrag: string; readonly pwd: string } {
    return this.#agent.local;
  }

  /** The client's, from its last offer. */
  get remoteIce(): TransportRemote['ice'] {
    return this.#remoteIce;
  }

  /** The path that media is sent on; null when there is none. */
  get nominated(): Path | null {
    return this.#agent.nominated;
  }

  /** True when packets given to `commit` have somewhere to go. */
  get canSend(): boolean {
    return this.#srtp !== null && this.#agent.nominated !== null;
  }

  /** Whether the path that media is sent on loses nothing but what it drops on purpose. */
  get reliable(): boolean {
    return this.#agent.nominated?.reliable ?? false;
  }

  /** Bits per second that this path delivers; null where that is not known to be less than what is sent. */
  get deliveryRate(): number | null {
    return this.#agent.nominated?.deliveryRate ?? null;
  }

  /** What went and came on the nominated path; null when there is none. Browsers do not count their nominations: theirs is 0. */
  report(now: number): PathReport | null {
    if (this.#agent.nominated === null) return null;
    return {
      nomination: this.#agent.nomination ?? 0,
      time: Math.floor(now) >>> 0,
      sent: this.#sent >>> 0,
      sentBytes: this.#sentBytes >>> 0,
      received: this.#received >>> 0,
      receivedBytes: this.#receivedBytes >>> 0,
    };
  }

  /** Takes the credentials of a further offer; new ones restart ICE (RFC 8839 section 4.4.1.1.1). */
  updateRemoteIce(ice: TransportRemote['ice']): void {
    if (ice.ufrag === this.#remoteIce.ufrag && ice.pwd === this.#remoteIce.pwd) return;
    this.#remoteIce = ice;
    this.#agent.restart();
    this.#agent.setRemote(ice);
    this.#deps.counters.sfu.ice_restarts++;
  }

  /** A datagram of class DTLS on a path that this transport owns; borrowed. */
  receiveDtls(path: Path, datagram: Uint8Array): void {
    if (this.#state === 'closed') return;
    this.#dtlsPath = path;
    this.#dtls ??= this.#createDtls();
    this.#dtls.receive(datagram);
  }

  /** A datagram of class SRTP or SRTCP on a path that this transport owns; borrowed. */
  receiveMedia(path: Path, datagram: Uint8Array, now: number): void {
    const srtp = this.#srtp;
    const counters = this.#deps.counters.sfu;
    if (srtp === null) {
      counters.datagrams_early++;
      return;
    }
    if (isRtcp(datagram)) {
      const compound = srtp.unprotectRtcp(datagram);
      if (isSrtpError(compound)) return;
      counters.rtcp_in++;
      this.#count(path, datagram.length, now);
      this.#events.onRtcp(compound, now);
      return;
    }
    const packet = srtp.unprotectRtp(datagram);
    if (isSrtpError(packet)) return;
    counters.rtp_in++;
    this.#count(path, datagram.length, now);
    this.#events.onRtp(packet, now);
  }

  /** Room for one RTP packet in clear, which {@link commit} sends. */
  open(length: number): boolean {
    if (!this.canSend) return false;
    this.at = this.#deps.batch.open(length);
    this.#opened = length;
    return this.at >= 0;
  }

  /**
   * Queues what was written since {@link open}; it goes, with all other packets of this turn, by {@link sendQueued}. False
   * when it goes nowhere.
   */
  commit(meta: SendMeta): boolean {
    const srtp = this.#srtp;
    if (srtp === null) return false;
    const { batch } = this.#deps;
    const isFirst = srtp.firstQueued === -1;
    const job = srtp.queueRtp(this.at, this.#opened);
    if (job < 0) return false;
    batch.queued(job, this.#opened, meta);
    if (isFirst) batch.join(this);
    return true;
  }

  /** Protects and sends all that was committed. */
  sendQueued(): void {
    const srtp = this.#srtp;
    if (srtp === null) return;
    const { batch, counters } = this.#deps;
    const path = this.#agent.nominated;
    const { tagBytes } = srtp;
    srtp.sealQueued();
    for (let job = srtp.firstQueued; job !== -1; job = batch.next(job)) {
      const length = batch.lengthOf(job) + tagBytes;
      if (path === null || !batch.send(path, job, length)) {
        counters.sfu.rtp_unsent++;
        continue;
      }
      this.#sent++;
      this.#sentBytes += length;
      counters.sfu.rtp_out++;
    }
    srtp.clearQueue();
  }

  /** Sends one compound RTCP packet, in clear; it is only read. False when it went nowhere. */
  sendRtcp(compound: Uint8Array): boolean {
    const path = this.#agent.nominated;
    if (path === null || this.#srtp === null) return false;
    const datagram = this.#srtp.protectRtcp(compound);
    if (isSrtpError(datagram)) return false;
    const bytes = datagram.length;
    if (!path.send(datagram, transportMeta)) return false;
    this.#sent++;
    this.#sentBytes += bytes;
    this.#deps.counters.sfu.rtcp_out++;
    return true;
  }

  /** Sends one SCTP packet; it goes nowhere before the handshake is done, or without a path. */
  sendData(packet: Uint8Array): void {
    this.#sendMeta = dataMeta;
    this.#dtls?.sendData(packet);
    this.#sendMeta = transportMeta;
  }

  /** The path is gone. */
  forget(path: Path): void {
    if (!this.#valid.has(path)) return;
    this.#agent.forget(path);
    if (this.#dtlsPath === path) this.#dtlsPath = null;
    this.#dropLostPaths();
    this.#events.onConsent(this.#valid.size > 0, false);
  }

  /** Ends DTLS with close_notify and lets go of all paths. No event follows. Idempotent. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#dtls?.close();
    this.#shut();
  }

  /** Authentic media that came. What comes on another path than the nominated one tells nothing of that. */
  #count(path: Path, bytes: number, now: number): void {
    if (path !== this.#agent.nominated) return;
    this.#agent.mediaHeard(now);
    this.#received++;
    this.#receivedBytes += bytes;
  }

  #dropLostPaths(): void {
    for (const path of this.#valid) {
      if (path.owner === this) continue;
      this.#valid.delete(path);
      this.#stopDropReports(path);
    }
  }

  #stopDropReports(path: Path): void {
    if (path.onDrop === this.#onDrop) path.onDrop = null;
  }

  #shut(): void {
    this.#state = 'closed';
    for (const path of this.#valid) this.#stopDropReports(path);
    this.#srtp?.close();
    this.#srtp = null;
    this.#dtls = null;
    this.#dtlsPath = null;
    this.#valid.clear();
    this.#agent.close();
  }

  #createDtls(): DtlsServerTransport {
    const { identity, counters } = this.#deps;
    return new DtlsServerTransport(
      {
        identity,
        remoteFingerprint: this.fingerprint,
        counters: counters.dtls,
        send: (datagram) => {
          this.#sendDtls(datagram);
        },
      },
      {
        onConnected: (keys) => {
          this.#connected(keys);
        },
        onData: (packet) => {
          this.#events.onData(packet);
        },
        onClosed: (reason) => {
          counters.sfu.transports_failed++;
          this.#shut();
          this.#events.onClosed(reason);
        },
      },
    );
  }

  #sendDtls(datagram: Uint8Array): void {
    const path = this.#agent.nominated ?? this.#dtlsPath;
    // A path that lost its consent belongs to nobody, and nothing may be sent to it (RFC 7675 section 5.1).
    if (path !== null && path.owner === this) path.send(datagram, this.#sendMeta);
  }

  #connected(keys: SrtpKeyMaterial): void {
    if (this.#state !== 'new') return;
    this.#srtp = this.#deps.batch.session(keys, this.#deps.srtpCrypto, this.#deps.counters.srtp);
    this.#state = 'connected';
    this.#deps.counters.sfu.transports_connected++;
    this.#events.onConnected();
  }
}
