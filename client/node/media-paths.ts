/**
 * All the ways to the media server: UDP, the tunnel, and the connections and allocations that the ladder opens. What comes
 * on any of them is delivered; what is sent goes on the nominated one.
 */
import { classifyDatagram, datagramClass } from '../../tunnel-protocol/index.ts';
import type { Rung, SendMeta, TransportAddress } from '../../tunnel-protocol/index.ts';
import type { RungAttempt, RungChange, RungReason } from '../call.ts';
import type { ClientClock } from '../clock.ts';
import type { ControlClient, IceServer } from '../control/index.ts';
import { ClientError } from '../errors.ts';
import { AttemptLog } from './attempt-log.ts';
import { IceDriver } from './ice-driver.ts';
import { readTurnServers } from './ice-servers.ts';
import { Ladder } from './ladder.ts';
import type { LadderAction } from './ladder.ts';
import { RungLinks, isLinkRung } from './rung-links.ts';
import { RungSwitches } from './rung-switches.ts';
import type { Answer } from './sdp-answer.ts';
import type { TlsTrust } from './tls-trust.ts';
import { UdpSockets } from './udp-sockets.ts';

export interface MediaPathsOptions {
  readonly control: ControlClient;
  /** Those that may be used. */
  readonly rungs: ReadonlySet<Rung>;
  readonly iceServers: readonly IceServer[];
  readonly trust: TlsTrust;
  readonly clock: ClientClock;
}

export interface MediaPathsEvents {
  /** Anything but STUN; borrowed until the call returns. */
  datagram(pathId: string, datagram: Uint8Array): void;
  /** What is sent from now on arrives: a first nomination is on its way. May come more than once. */
  ready(): void;
  rung(change: RungChange): void;
  /** Media that `send` took is dropped, because its path is too slow. Must not send. */
  dropped(meta: SendMeta): void;
  /** An attempt to open a rung has ended. */
  attempt(attempt: RungAttempt): void;
}

const tunnelPathId = 'websocket';

export class MediaPaths {
  readonly #options: MediaPathsOptions;
  readonly #events: MediaPathsEvents;
  readonly #ice: IceDriver;
  readonly #attempts: AttemptLog;
  readonly #candidates = new Map<string, TransportAddress>();
  readonly #pathIds = new Map<TransportAddress, string>();
  readonly #subscriptions: (() => void)[];
  readonly #switches: RungSwitches;
  #udp: UdpSockets | null = null;
  #links: RungLinks | null = null;
  #ladder = new Ladder([]);
  #timer: unknown = null;
  #timerAt = Infinity;
  /** Where datagrams are sent: the nominated path, or before that the one being nominated. */
  #sendPath: string | null = null;
  #rung: Rung | null = null;
  #roundTripMs: number | null = null;
  #started = false;
  #closed = false;

  constructor(options: MediaPathsOptions, events: MediaPathsEvents) {
    this.#options = options;
    this.#events = events;
    this.#attempts = new AttemptLog((attempt) => {
      this.#attemptEnded(attempt);
    });
    this.#switches = new RungSwitches(options.clock);
    this.#ice = this.#createIce();
    const { control, rungs } = options;
    this.#subscriptions = [
      control.on('datagram', (datagram) => {
        if (rungs.has('websocket')) this.#receive(tunnelPathId, datagram);
      }),
      control.on('connected', () => {
        if (!this.#started) return;
        // The network is back, or is another one.
        this.#ladder.retry();
        this.#ice.recheck(null);
        this.#addTunnelPath();
        this.#advance();
      }),
      control.on('dropped', (meta) => {
        this.#events.dropped(meta);
      }),
      control.on('disconnected', () => {
        if (this.#ice.rungOf(tunnelPathId) === null) return;
        this.#ice.removePath(tunnelPathId);
        this.#rungFailed('websocket', 'the connection was lost');
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
    return this.#attempts.list(this.#options.clock.now());
  }

  /** Begins with the server's answer. Throws ClientError when it leaves nothing to try. */
  start(answer: Answer): void {
    const { rungs, clock } = this.#options;
    const links = this.#createLinks(answer);
    this.#links = links;
    const offered = new Set<Rung>();
    for (const rung of rungs) {
      if (isLinkRung(rung) ? links.offers(rung) : rung !== 'udp' || answer.candidates.length > 0) offered.add(rung);
      else this.#attempts.skip(rung, 'the edge offers none');
    }
    if (offered.size === 0) {
      throw new ClientError('media-unreachable', { detail: `the edge offers none of ${[...rungs].join(', ')}` });
    }
    this.#started = true;
    this.#ladder = new Ladder([...offered].filter(isLinkRung));
    if (offered.has('udp')) this.#addUdpPaths(answer.candidates);
    if (this.#options.control.connected) this.#addTunnelPath();
    this.#ladder.start(clock.now(), offered.has('udp'));
    this.#ice.start(answer.ice);
    this.#advance();
  }

  /** On the path that carries media. Given away; false when it went nowhere. RTP should come with its meta. */
  send(datagram: Uint8Array, meta?: SendMeta): boolean {
    return this.#sendPath !== null && this.#sendOn(this.#sendPath, datagram, meta);
  }

  /** The datagram that came on this path was authentic. Cheap, for it is told of every packet. */
  heard(pathId: string): void {
    this.#ice.heard(pathId);
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
    this.#closed = true;
    for (const off of this.#subscriptions) off();
    if (this.#timer !== null) this.#options.clock.clearTimer(this.#timer);
    this.#switches.close();
    this.#ice.close();
    this.#links?.closeAll();
    this.#udp?.close();
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
      nominated: (pathId, reason) => {
        this.#nominated(pathId, reason);
      },
      stranded: () => {
        this.#sendPath = null;
        this.#roundTripMs = null;
      },
      validated: (pathId) => {
        this.#validated(pathId);
      },
      failed: (pathId, reason) => {
        this.#pathFailed(pathId, reason);
      },
      rechecking: (pathId) => {
        this.#attempts.begin(this.#ice.rungOf(pathId) ?? 'udp', this.#options.clock.now());
      },
      answered: (pathId, roundTripMs) => {
        this.#answered(pathId, roundTripMs);
      },
      suspected: () => {
        this.#ladder.suspect(this.#options.clock.now());
        this.#advance();
      },
    });
  }

  #createLinks(answer: Answer): RungLinks {
    const { iceServers, trust, clock } = this.#options;
    const turnServers = readTurnServers(iceServers);
    const { candidates, tcpCandidates } = answer;
    return new RungLinks(
      { turnServers, candidates, tcpCandidates, trust, clock },
      {
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
      },
    );
  }

  #addUdpPaths(candidates: readonly TransportAddress[]): void {
    this.#udp = new UdpSockets(candidates, {
      datagram: (candidate, datagram) => {
        const pathId = this.#pathIds.get(candidate);
        if (pathId !== undefined) this.#receive(pathId, datagram);
      },
    });
    this.#attempts.begin('udp', this.#options.clock.now());
    for (const [index, candidate] of candidates.entries()) {
      const pathId = `udp-${String(index)}`;
      this.#candidates.set(pathId, candidate);
      this.#pathIds.set(candidate, pathId);
      this.#ice.addPath(pathId, 'udp', true);
    }
  }

  /** Another connection of the tunnel is another path at the server. */
  #addTunnelPath(): void {
    if (!this.#options.rungs.has('websocket')) return;
    this.#attempts.begin('websocket', this.#options.clock.now());
    this.#ice.addPath(tunnelPathId, 'websocket', true);
  }

  #receive(pathId: string, datagram: Uint8Array): void {
    if (this.#closed) return;
    if (classifyDatagram(datagram) === datagramClass.stun) this.#ice.receive(pathId, datagram);
    else this.#events.datagram(pathId, datagram);
  }

  #sendOn(pathId: string, datagram: Uint8Array, meta?: SendMeta): boolean {
    if (pathId === tunnelPathId) return this.#options.control.sendDatagram(datagram, meta);
    const link = this.#links?.find(pathId) ?? null;
    if (link !== null) return link.send(datagram);
    const candidate = this.#candidates.get(pathId);
    return candidate !== undefined && this.#udp !== null && this.#udp.send(candidate, datagram);
  }

  #nominated(pathId: string, reason: RungReason): void {
    const to = this.#ice.rungOf(pathId);
    if (to === null) return;
    const from = this.#rung;
    this.#sendPath = pathId;
    this.#rung = to;
    this.#ladder.nominated(to, this.#options.clock.now());
    if (from !== null && from !== to && reason === 'rung-failed') this.#abandon(from);
    this.#events.ready();
    if (from !== to) this.#events.rung({ from, to, reason });
    this.#switches.nominated(to);
    this.#advance();
  }

  /** A rung that fell silent: its connection is worth nothing, even if it should still stand. */
  #abandon(rung: Rung): void {
    const pathIds = this.#links?.of(rung) ?? [];
    for (const pathId of pathIds) this.#links?.fail(pathId, 'it fell silent');
    this.#ladder.failed(rung, this.#options.clock.now());
  }

  #validated(pathId: string): void {
    const rung = this.#ice.rungOf(pathId);
    if (rung === null) return;
    this.#attempts.end(rung, 'connected', this.#options.clock.now());
    this.#ladder.validated(rung);
    // One connection of a rung is enough.
    if (this.#links?.find(pathId)) for (const other of this.#links.of(rung)) if (other !== pathId) this.#drop(other);
    this.#advance();
  }

  #answered(pathId: string, roundTripMs: number | null): void {
    if (pathId === this.#sendPath) {
      this.#roundTripMs = roundTripMs ?? this.#roundTripMs;
      this.#ladder.trust();
    }
    const rung = this.#ice.rungOf(pathId);
    if (rung !== null && !this.#ice.isPenalised(rung)) this.#ladder.validated(rung);
    this.#advance();
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
    const now = this.#options.clock.now();
    this.#attempts.end(rung, 'failed', now, reason);
    this.#ladder.failed(rung, now);
    this.#advance();
  }

  #attemptEnded(attempt: RungAttempt): void {
    this.#events.attempt(attempt);
    if (attempt.outcome === 'failed') this.#switches.failed(attempt.rung, attempt.reason ?? 'failed');
  }

  #drop(pathId: string): void {
    this.#links?.close(pathId);
    this.#ice.removePath(pathId);
  }

  #prefer(rung: Rung | null): void {
    this.#ladder.pin(rung);
    this.#ice.prefer(rung);
    this.#advance();
  }

  /** Does what the ladder says. */
  #advance(): void {
    if (this.#closed || !this.#started) return;
    const now = this.#options.clock.now();
    // A rung that fails is no longer asked for.
    this.#ladder.pin(this.#ice.pinned);
    for (let action = this.#ladder.next(now); action !== null; action = this.#ladder.next(now)) this.#act(action, now);
    this.#schedule(now);
  }

  #act(action: LadderAction, now: number): void {
    const { rung } = action;
    if (action.type === 'open') {
      this.#attempts.begin(rung, now);
      if (isLinkRung(rung)) this.#links?.open(rung);
      return;
    }
    for (const pathId of this.#links?.of(rung) ?? []) this.#drop(pathId);
    if (action.why === 'superseded') this.#attempts.end(rung, 'superseded', now);
    else this.#attempts.end(rung, 'failed', now, 'no answer in time');
  }

  #schedule(now: number): void {
    const due = this.#ladder.nextTimeout(now) ?? Infinity;
    if (due === this.#timerAt) return;
    const { clock } = this.#options;
    if (this.#timer !== null) clock.clearTimer(this.#timer);
    this.#timer = null;
    this.#timerAt = due;
    if (due === Infinity) return;
    this.#timer = clock.setTimer(
      () => {
        this.#timer = null;
        this.#timerAt = Infinity;
        this.#advance();
      },
      Math.max(0, due - now),
    );
  }
}
