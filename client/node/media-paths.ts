/**
 * All the ways to the media server: UDP, the tunnel, and the connections and allocations that the ladder opens. What comes
 * on any of them is delivered; what is sent goes on the nominated one.
 */
import { classifyDatagram, datagramClass } from '../../tunnel-protocol/index.ts';
import type { Rung, SendMeta } from '../../tunnel-protocol/index.ts';
import type { RungAttempt, RungChange, RungReason } from '../call.ts';
import { ClientError } from '../errors.ts';
import type { ProofResult } from '../ice/index.ts';
import { IceDriver } from './ice-driver.ts';
import type { Ladder, LadderAction } from './ladder.ts';
import { LadderDriver } from './ladder-driver.ts';
import type { LadderEvent } from './ladder-log.ts';
import { NetworkWatch } from './network-watch.ts';
import { PathCarriers, tunnelPathId } from './path-carriers.ts';
import type { PathCarriersOptions } from './path-carriers.ts';
import type { Evidence } from './path-evidence.ts';
import type { NetworkMemory } from './path-memory.ts';
import { PathWatch } from './path-watch.ts';
import { isLinkRung } from './rung-links.ts';
import type { RungLinks } from './rung-links.ts';
import { RungRecords } from './rung-records.ts';
import type { RungRecordsEvents } from './rung-records.ts';
import { RungSwitches } from './rung-switches.ts';
import type { Answer } from './sdp-answer.ts';

export interface MediaPathsOptions extends PathCarriersOptions {
  /** Those that may be used. */
  readonly rungs: ReadonlySet<Rung>;
  readonly memory: NetworkMemory;
}

export interface MediaPathsEvents extends RungRecordsEvents {
  /** Anything but STUN; borrowed until the call returns. */
  datagram(pathId: string, datagram: Uint8Array): void;
  /** What is sent from now on arrives: a first nomination is on its way. May come more than once. */
  ready(): void;
  rung(change: RungChange): void;
  /** Media that `send` took is dropped, because its path is too slow. Must not send. */
  dropped(meta: SendMeta): void;
}

export class MediaPaths {
  readonly #options: MediaPathsOptions;
  readonly #events: MediaPathsEvents;
  readonly #ice: IceDriver;
  readonly #records: RungRecords;
  readonly #watch: PathWatch;
  readonly #ladder: LadderDriver;
  readonly #subscriptions: (() => void)[];
  readonly #switches: RungSwitches;
  /** Null before the start. */
  #carriers: PathCarriers | null = null;
  #network: NetworkWatch | null = null;
  /** Where datagrams are sent: the nominated path, or before that the one being nominated. */
  #sendPath: string | null = null;
  #rung: Rung | null = null;
  #roundTripMs: number | null = null;
  #closed = false;

  constructor(options: MediaPathsOptions, events: MediaPathsEvents) {
    this.#options = options;
    this.#events = events;
    this.#records = new RungRecords(options.clock, options.memory, {
      attempt: (attempt) => {
        this.#attemptEnded(attempt);
      },
      ladder: (event) => {
        events.ladder(event);
      },
    });
    this.#watch = new PathWatch(options.control, options.clock, (evidence) => {
      this.#degraded(evidence);
    });
    this.#ladder = new LadderDriver(options.clock, {
      act: (action) => {
        this.#act(action);
      },
      pinned: () => this.#ice.pinned,
    });
    this.#switches = new RungSwitches(options.clock);
    this.#ice = this.#createIce();
    const { control } = options;
    this.#subscriptions = [
      control.on('datagram', (datagram) => {
        if (this.#ice.rungOf(tunnelPathId) !== null) this.#receive(tunnelPathId, datagram);
      }),
      control.on('connected', () => {
        // The network is back, or is another one.
        if (this.#addTunnelPath()) this.#retry();
      }),
      control.on('moved', () => {
        if (this.#addTunnelPath()) this.#ladder.tell();
      }),
      control.on('dropped', (meta) => {
        this.#events.dropped(meta);
      }),
      control.on('disconnected', () => {
        const rung = this.#ice.rungOf(tunnelPathId);
        if (rung === null) return;
        this.#ice.removePath(tunnelPathId);
        this.#rungFailed(rung, 'the connection was lost');
      }),
    ];
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

  get attempts(): readonly RungAttempt[] {
    return this.#records.attempts;
  }

  /** What happened on the ladder, oldest first; the latest 256. */
  get ladderLog(): readonly LadderEvent[] {
    return this.#records.ladder;
  }

  /** Begins with the server's answer. Throws ClientError when it leaves nothing to try. */
  start(answer: Answer): void {
    const { rungs, clock } = this.#options;
    const remembered = this.#records.start();
    const carriers = this.#createCarriers(answer);
    const offered = new Set<Rung>();
    for (const rung of rungs) {
      if (carriers.offers(rung)) offered.add(rung);
      else this.#records.skip(rung, 'the edge offers none');
    }
    if (offered.size === 0) {
      throw new ClientError('media-unreachable', { detail: `the edge offers none of ${[...rungs].join(', ')}` });
    }
    this.#carriers = carriers;
    this.#network = new NetworkWatch(clock, () => {
      this.#retry();
      this.#options.control.retry();
    });
    this.#ice.remember(remembered);
    if (offered.has('udp')) {
      this.#records.begin('udp');
      for (const pathId of carriers.udpPathIds) this.#ice.addPath(pathId, 'udp', true);
    }
    if (this.#options.control.connected) this.#addTunnelPath();
    this.#ladder.start([...offered].filter(isLinkRung), offered.has('udp'), remembered);
    this.#ice.start(answer.ice);
    this.#ladder.tell();
  }

  /** On the path that carries media. Given away; false when it went nowhere. RTP should come with its meta. */
  send(datagram: Uint8Array, meta?: SendMeta): boolean {
    const bytes = datagram.length;
    const isMedia = classifyDatagram(datagram) === datagramClass.rtp;
    if (this.#sendPath === null || !this.#sendOn(this.#sendPath, datagram, meta)) return false;
    if (isMedia) this.#watch.sent(bytes);
    return true;
  }

  /** A media datagram of so many bytes that came on this path was authentic. Cheap, for it is told of every packet. */
  heard(pathId: string, bytes: number): void {
    const now = this.#options.clock.now();
    this.#ice.heard(pathId, now);
    if (pathId === this.#sendPath) this.#watch.received(bytes, now);
  }

  /** Opens the rung if need be, nominates a path of it and stays there while it works. Rejects with `rung-unavailable`. */
  async switchTo(rung: Rung): Promise<void> {
    if (!this.#options.rungs.has(rung)) throw new ClientError('rung-unavailable', { detail: `${rung} is not allowed` });
    const before = this.#ice.pinned;
    this.#prefer(rung);
    if (this.#ice.nominated !== null && this.#ice.rungOf(this.#ice.nominated) === rung) return;
    try {
      await this.#switches.wait(rung);
    } catch (error) {
      if (!this.#closed && this.#ice.pinned === rung) this.#prefer(before);
      throw error;
    }
  }

  /** Idempotent; no event follows. */
  close(): void {
    if (this.#closed) return;
    this.#records.close();
    this.#closed = true;
    this.#watch.close();
    this.#network?.close();
    for (const off of this.#subscriptions) off();
    this.#ladder.close();
    this.#switches.close();
    this.#ice.close();
    this.#carriers?.close();
  }

  #createIce(): IceDriver {
    return new IceDriver(this.#options.clock, {
      send: (pathId, datagram) => {
        this.#sendOn(pathId, datagram);
      },
      nominating: (pathId) => {
        if (this.#sendPath !== null) return;
        this.#sendPath = pathId;
        this.#events.ready();
      },
      nominated: (pathId, reason, nomination) => {
        this.#nominated(pathId, reason, nomination);
      },
      proof: (pathId, result) => {
        this.#proved(pathId, result);
      },
      stranded: () => {
        this.#sendPath = null;
        this.#roundTripMs = null;
        this.#watch.watch(null);
      },
      validated: (pathId) => {
        this.#validated(pathId);
      },
      failed: (pathId, reason) => {
        this.#pathFailed(pathId, reason);
      },
      rechecking: (pathId) => {
        this.#records.begin(this.#ice.rungOf(pathId) ?? 'udp');
      },
      answered: (pathId, roundTripMs) => {
        this.#answered(pathId, roundTripMs);
      },
      suspected: () => {
        this.#ladder.tell((ladder, now) => {
          ladder.suspect(now);
        });
      },
    });
  }

  #createCarriers(answer: Answer): PathCarriers {
    return new PathCarriers(this.#options, answer, {
      opened: (pathId, rung) => {
        this.#ice.addPath(pathId, rung, false);
      },
      datagram: (pathId, datagram) => {
        this.#receive(pathId, datagram);
      },
      lost: (pathId, rung, reason, last) => {
        this.#ice.removePath(pathId);
        if (last) this.#rungFailed(rung, reason);
      },
    });
  }

  /** Another connection of the tunnel is another path at the server. False before the start. */
  #addTunnelPath(): boolean {
    const { control, rungs } = this.#options;
    if (this.#carriers === null) return false;
    this.#ice.removePath(tunnelPathId);
    if (!rungs.has(control.rung)) return true;
    this.#records.begin(control.rung);
    this.#ice.addPath(tunnelPathId, control.rung, true);
    return true;
  }

  #receive(pathId: string, datagram: Uint8Array): void {
    if (this.#closed) return;
    if (classifyDatagram(datagram) === datagramClass.stun) this.#ice.receive(pathId, datagram);
    else this.#events.datagram(pathId, datagram);
  }

  #sendOn(pathId: string, datagram: Uint8Array, meta?: SendMeta): boolean {
    return this.#carriers?.send(pathId, datagram, meta) ?? false;
  }

  get #links(): RungLinks | null {
    return this.#carriers?.links ?? null;
  }

  #nominated(pathId: string, reason: RungReason, nomination: number): void {
    const to = this.#ice.rungOf(pathId);
    if (to === null) return;
    const from = this.#rung;
    this.#sendPath = pathId;
    this.#rung = to;
    this.#watch.watch(pathId === tunnelPathId ? null : nomination);
    this.#records.moved({ from, to, reason }, this.#ice.pinned !== null);
    this.#ladder.tell((ladder, now) => {
      ladder.nominated(to, now);
      if (from !== null && from !== to && reason === 'rung-failed') this.#abandon(from, ladder, now);
    });
    this.#events.ready();
    if (from !== to) this.#events.rung({ from, to, reason });
    this.#switches.nominated(to);
  }

  #proved(pathId: string, result: ProofResult): void {
    const rung = this.#ice.rungOf(pathId);
    if (rung === null) return;
    this.#records.proof(rung, result);
    if (result.proven) return;
    this.#ladder.tell((ladder) => {
      ladder.unproven(rung);
    });
  }

  /** What the reports of both ends say against the path that carries media. */
  #degraded(evidence: Evidence): void {
    this.#records.degraded(evidence);
    this.#ladder.tell((ladder, now) => {
      ladder.degrade(now);
    });
    this.#ice.degraded();
  }

  /** A rung that fell silent: its connection is worth nothing, even if it should still stand. */
  #abandon(rung: Rung, ladder: Ladder, now: number): void {
    for (const pathId of this.#links?.of(rung) ?? []) this.#links?.fail(pathId, 'it fell silent');
    ladder.failed(rung, now);
  }

  #validated(pathId: string): void {
    const rung = this.#ice.rungOf(pathId);
    if (rung === null) return;
    this.#records.end(rung, 'connected');
    this.#ladder.tell((ladder) => {
      ladder.validated(rung);
      if (this.#ice.isPenalised(rung)) ladder.unproven(rung);
      // One connection of a rung is enough.
      if (this.#links?.find(pathId)) for (const other of this.#links.of(rung)) if (other !== pathId) this.#drop(other);
    });
  }

  #answered(pathId: string, roundTripMs: number | null): void {
    const isNominated = pathId === this.#sendPath;
    if (isNominated) this.#roundTripMs = roundTripMs ?? this.#roundTripMs;
    const rung = this.#ice.rungOf(pathId);
    this.#ladder.tell((ladder) => {
      if (isNominated) ladder.trust();
      if (rung !== null && !this.#ice.isPenalised(rung)) ladder.validated(rung);
    });
  }

  #pathFailed(pathId: string, reason: string): void {
    if (this.#links?.find(pathId)) {
      this.#links.fail(pathId, reason);
      return;
    }
    const rung = this.#ice.rungOf(pathId);
    if (rung !== null && !this.#ice.hasHope(rung)) this.#rungFailed(rung, reason);
  }

  #rungFailed(rung: Rung, reason: string): void {
    this.#records.end(rung, 'failed', reason);
    this.#ladder.tell((ladder, now) => {
      ladder.failed(rung, now);
    });
  }

  #attemptEnded(attempt: RungAttempt): void {
    this.#events.attempt(attempt);
    if (attempt.outcome === 'failed') this.#switches.failed(attempt.rung, attempt.reason ?? 'failed');
  }

  #drop(pathId: string): void {
    this.#links?.close(pathId);
    this.#ice.removePath(pathId);
  }

  /** What failed before may work now. */
  #retry(): void {
    this.#ice.retry();
    this.#ladder.tell((ladder) => {
      ladder.retry();
    });
  }

  #prefer(rung: Rung | null): void {
    this.#ladder.tell((ladder) => {
      ladder.pin(rung);
      this.#ice.prefer(rung);
    });
  }

  #act(action: LadderAction): void {
    const { rung } = action;
    if (action.type === 'open') {
      this.#records.begin(rung);
      if (isLinkRung(rung)) this.#links?.open(rung);
      return;
    }
    for (const pathId of this.#links?.of(rung) ?? []) this.#drop(pathId);
    if (action.why === 'superseded') this.#records.end(rung, 'superseded');
    else this.#records.end(rung, 'failed', 'no answer in time');
  }
}
