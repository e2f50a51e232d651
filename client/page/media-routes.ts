/**
 * The two ways that a page has for media: the browser's own WebRTC, and the page's stack on the tunnel. One of them is
 * active; the other one is on its way, stands by, or is not there. Moves are make before break. Long because which way is active,
 * begun, moving or due is one state, and every move looks at all of it.
 */
import { audioSlotMids, rids, videoSlotMids } from '../../tunnel-protocol/index.ts';
import type { LayerWatch, Rid, Rung, SlotAssignment, Source } from '../../tunnel-protocol/index.ts';
import type { RungAttempt, RungChange, RungReason, TrackEvent } from '../call.ts';
import type { ControlClient } from '../control/index.ts';
import { Emitter } from '../emitter.ts';
import { ClientError, asClientError } from '../errors.ts';
import { isBetterRung } from '../page-model/ice-plan.ts';
import type { IcePlan } from '../page-model/ice-plan.ts';
import type { IceLook } from '../page-model/ice-attempts.ts';
import { ProbePolicy } from '../page-model/restart-policy.ts';
import { lookAtIce } from './ice-stats.ts';
import { MediaConnection } from './media-connection.ts';
import type { MediaState } from './media-connection.ts';
import { MediaKeeper } from './media-keeper.ts';
import type { TunnelMedia } from './tunnel-media.ts';

export interface MediaRoutesOptions {
  readonly control: ControlClient;
  /** Without rungs where the browser's own WebRTC is not to be used. */
  readonly plan: IcePlan;
  /** The tunnels that media may use; empty where it may use none. */
  readonly tunnels: readonly Rung[];
}

interface MediaRoutesEvents {
  state: MediaState;
  rung: RungChange;
  /** A slot's track, or another one for it: the last one plays no more. */
  track: TrackEvent<MediaStreamTrack>;
}

export type Route = 'native' | 'tunnel';

/** Both ways send for so long around a move. */
const overlapMs = 500;
/** Slots that nothing came for on the new way by then get its track all the same. */
const settleMs = 1_500;
const slots = [
  ...videoSlotMids.map((mid) => ({ mid, kind: 'video' as const })),
  ...audioSlotMids.map((mid) => ({ mid, kind: 'audio' as const })),
];
/** Browsers do not look for a better pair by themselves: a restart of ICE makes them. */
const climbIntervalMs = 60_000;
const restartTunnelMs = 1_000;

export class MediaRoutes extends Emitter<MediaRoutesEvents> {
  readonly #options: MediaRoutesOptions;
  #native: MediaConnection | null = null;
  #keeper: MediaKeeper | null = null;
  #tunnel: TunnelMedia | null = null;
  #starting: Promise<TunnelMedia> | null = null;
  #active: Route | null = null;
  #rung: Rung | null = null;
  #state: MediaState = 'connecting';
  #moving = false;
  readonly #probes = new ProbePolicy();
  /** Something plays already. */
  #begun = false;
  #probeTimer: number | undefined;
  #climbTimer: number | undefined;
  #closed = false;
  readonly #sent = new Map<Source, MediaStreamTrack>();
  readonly #tunnelAttempts: {
    rung: Rung;
    beganAt: number;
    outcome: RungAttempt['outcome'];
    endedAt: number;
    reason: string;
  }[] = [];
  #assignment: readonly SlotAssignment[] = [];
  #layers: readonly LayerWatch[] | null = null;

  constructor(options: MediaRoutesOptions) {
    super();
    this.#options = options;
    options.control.on('rung', () => {
      if (this.#active === 'tunnel') this.#moved(options.control.rung, null);
    });
  }

  get active(): Route | null {
    return this.#active;
  }

  get state(): MediaState {
    return this.#state;
  }

  /** Of the active way; null before there is one. */
  get rung(): Rung | null {
    return this.#rung;
  }

  get native(): MediaConnection | null {
    return this.#native;
  }

  get tunnel(): TunnelMedia | null {
    return this.#tunnel;
  }

  /** Whether media may take the tunnel. */
  get mayTunnel(): boolean {
    return this.#options.tunnels.length > 0;
  }

  get tracks(): readonly TrackEvent<MediaStreamTrack>[] {
    return slots.flatMap(({ mid, kind }) => {
      const track = this.#trackOf(mid);
      return track === null ? [] : [{ mid, kind, track }];
    });
  }

  /** Of the native connection, oldest first; then those of the tunnel. */
  attempts(now: number): readonly RungAttempt[] {
    return [
      ...(this.#native?.attempts.list(now) ?? []),
      ...this.#tunnelAttempts.map((attempt) => asAttempt(attempt, now)),
    ];
  }

  ladder(now: number): ReadonlyMap<Rung, RungAttempt> {
    return new Map<Rung, RungAttempt>([
      ...(this.#native?.attempts.latest(now) ?? []),
      ...this.#options.tunnels.map((rung) => [rung, { rung, outcome: 'superseded', ms: 0 }] as const),
      ...this.#tunnelAttempts.map((attempt) => [attempt.rung, asAttempt(attempt, now)] as const),
    ]);
  }

  level(mid: string): number {
    if (this.#active === 'tunnel') return this.#tunnel?.level(mid) ?? 0;
    return this.#native?.receiver(mid)?.getSynchronizationSources()[0]?.audioLevel ?? 0;
  }

  /** Takes over a native connection that is under way: it is the active one as soon as it is connected, if it is first. */
  adoptNative(native: MediaConnection): void {
    this.#native = native;
    native.on('state', () => {
      this.#nativeState(native);
    });
    native.on('pair', () => void this.#lookAtIce(native));
  }

  /**
   * Resolves when media can flow one way or the other. The tunnel is tried where the native connection has not come up
   * within its head start, or has failed, or there is none. Rejects with a ClientError when no way is left.
   */
  connect(headStartMs: number, negotiated: Promise<void>): Promise<void> {
    const native = this.#native;
    const hasTunnel = this.#options.tunnels.length > 0;
    return new Promise((resolve, reject) => {
      let failure: ClientError | null = native === null ? new ClientError('rung-unavailable') : null;
      let tunnelFailed = !hasTunnel;
      const settle = (): void => {
        if (this.#active !== null) resolve();
        else if (failure !== null && tunnelFailed) reject(failure);
      };
      const take = (route: Route): void => {
        this.activate(route, 'joined').then(settle, (error: unknown) => {
          failure = asClientError(error, 'media-unreachable');
          settle();
        });
      };
      const tryTunnel = (): void => {
        clearTimeout(timer);
        if (!hasTunnel || this.#closed || this.#active !== null || this.#starting !== null) return;
        this.startTunnel().then(
          () => {
            // The native connection may have come up meanwhile: then the tunnel stands by.
            if (this.#active === null) take('tunnel');
            else settle();
          },
          (error: unknown) => {
            tunnelFailed = true;
            if (native === null) failure = asClientError(error, 'media-unreachable');
            settle();
          },
        );
      };
      const nativeFailed = (error: ClientError): void => {
        failure = error;
        tryTunnel();
        settle();
      };
      const timer = setTimeout(tryTunnel, native === null ? 0 : headStartMs);
      if (native === null) return;
      const look = (): void => {
        if (native.state === 'connected') take('native');
        else if (native.state === 'failed') {
          // ICE got through and DTLS did not, or ICE itself did not.
          const reached = ['connected', 'completed'].includes(native.peer.iceConnectionState);
          nativeFailed(new ClientError(reached ? 'handshake-failed' : 'media-unreachable', { detail: this.tried }));
        } else return;
        stopWatching();
      };
      const stopWatching = native.on('state', look);
      negotiated.catch((error: unknown) => {
        nativeFailed(asClientError(error, 'media-unreachable'));
      });
      look();
    });
  }

  /** One line for support: `udp: pending ; ice-tcp: failed no answer`. */
  get tried(): string {
    return this.attempts(performance.now())
      .map(({ rung, outcome, reason = '' }) => `${rung}: ${outcome} ${reason}`)
      .join('; ');
  }

  /** Resolves with the tunnel's media once it is connected. */
  startTunnel(): Promise<TunnelMedia> {
    this.#starting ??= this.#startTunnel().catch((error: unknown) => {
      this.#starting = null;
      throw error;
    });
    return this.#starting;
  }

  /** Media goes this way from now on; the first time, nothing is moved. */
  async activate(route: Route, reason: RungReason): Promise<void> {
    if (this.#closed || this.#moving || this.#active === route) return;
    this.#moving = true;
    try {
      await Promise.all([...this.#sent].map(([source, track]) => this.#sendOn(route, source, track)));
      await this.#tellServer(route);
      if (this.#isClosed()) return;
      const before = this.#active;
      this.#active = route;
      if (route === 'native') this.#keep();
      await this.#readRung(reason);
      this.#setState(this.#stateOf(route));
      if (this.#begun) this.#handOver(route);
      this.#begun = true;
      if (before !== null) this.#retire(before);
      if (reason === 'rung-failed') this.#probes.fell(performance.now());
      if (route === 'tunnel') this.#probeLater();
    } finally {
      this.#moving = false;
    }
    // It came up while media was on its way to the tunnel, when nothing else could be begun.
    if (route !== 'tunnel' || this.#native?.state !== 'connected') return;
    await this.activate('native', 'better-rung-proven').catch(() => undefined);
  }

  /** Sends this track from the source's section; null sends nothing. */
  async send(source: Source, track: MediaStreamTrack | null): Promise<void> {
    if (track === null) this.#sent.delete(source);
    else this.#sent.set(source, track);
    if (this.#active !== null) await this.#sendOn(this.#active, source, track);
  }

  assign(assignment: readonly SlotAssignment[]): void {
    this.#assignment = assignment;
    this.#tunnel?.assign(assignment);
  }

  /** Encodes those layers that are watched, and no others. */
  watch(layers: readonly LayerWatch[]): Promise<void> {
    this.#layers = layers;
    this.#tunnel?.watched(watchedRids(layers));
    return this.#native?.watch(layers) ?? Promise.resolve();
  }

  /** The rung that carries media, as statistics have it. */
  noteIce(ice: IceLook): void {
    this.#native?.attempts.observe(ice, performance.now());
    if (this.#active === 'native' && ice.selected !== null) this.#moved(ice.selected, null);
  }

  restartIce(): Promise<void> {
    return this.#keeper?.restart() ?? Promise.resolve();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#probeTimer);
    clearInterval(this.#climbTimer);
    this.#keeper?.stop();
    this.#native?.close();
    this.#tunnel?.close();
    this.#setState('closed');
  }

  /** A call, so that control flow analysis does not take it for settled across an await. */
  #isClosed(): boolean {
    return this.#closed;
  }

  #trackOf(mid: string): MediaStreamTrack | null {
    if (this.#active === 'tunnel') return this.#tunnel?.track(mid) ?? null;
    return this.#native?.receiver(mid)?.track ?? null;
  }

  async #startTunnel(): Promise<TunnelMedia> {
    const { control, tunnels } = this.#options;
    const attempt = {
      rung: control.rung as Rung,
      beganAt: performance.now(),
      outcome: 'pending' as RungAttempt['outcome'],
      endedAt: 0,
      reason: '',
    };
    // The latest 16.
    if (this.#tunnelAttempts.length > 15) this.#tunnelAttempts.shift();
    this.#tunnelAttempts.push(attempt);
    const ended = (outcome: RungAttempt['outcome'], reason: string): void => {
      if (attempt.outcome !== 'pending') return;
      Object.assign(attempt, { outcome, reason, endedAt: performance.now(), rung: control.rung });
    };
    try {
      const { TunnelMedia } = await import('./tunnel-media.ts');
      const workerUrl = new URL('./media-worker.js', import.meta.url).href;
      const tunnel = new TunnelMedia({ control, rungs: tunnels, workerUrl });
      this.#tunnel = tunnel;
      tunnel.assign(this.#assignment);
      if (this.#layers !== null) tunnel.watched(watchedRids(this.#layers));
      tunnel.on('state', (state) => {
        if (this.#active === 'tunnel') this.#setState(state);
      });
      tunnel.on('alive', (mid) => {
        if (this.#active === 'tunnel') this.#emitTrack(mid);
      });
      await new Promise<void>((resolve, reject) => {
        tunnel.on('state', (state) => {
          if (state === 'connected') resolve();
        });
        tunnel.once('closed', reject);
        tunnel.start().catch(reject);
      });
      ended('connected', '');
      tunnel.once('closed', () => {
        if (this.#tunnel !== tunnel || this.#closed) return;
        this.#tunnel = null;
        this.#starting = null;
        if (this.#active === 'tunnel') this.#restartTunnel();
      });
      return tunnel;
    } catch (cause) {
      const error = asClientError(cause, 'media-unreachable');
      ended('failed', error.code);
      this.#tunnel?.close();
      this.#tunnel = null;
      throw error;
    }
  }

  #restartTunnel(): void {
    this.#active = null;
    this.#setState('interrupted');
    setTimeout(() => {
      if (this.#closed || this.#active !== null) return;
      this.startTunnel().then(
        () => this.activate('tunnel', 'rung-failed'),
        () => {
          this.#restartTunnel();
        },
      );
    }, restartTunnelMs);
  }

  async #sendOn(route: Route, source: Source, track: MediaStreamTrack | null): Promise<void> {
    await (route === 'native' ? this.#native?.send(source, track) : this.#tunnel?.send(source, track));
  }

  /** Where there is one way only, the server knows. */
  async #tellServer(route: Route): Promise<void> {
    if (this.#native === null || this.#tunnel === null) return;
    const fingerprint = route === 'native' ? this.#native.fingerprint : this.#tunnel.fingerprint;
    await this.#options.control.request({ type: 'transport', fingerprint });
  }

  #keep(): void {
    const { control } = this.#options;
    if (this.#native === null || this.#keeper !== null) return;
    this.#keeper = new MediaKeeper(this.#native, control);
    clearInterval(this.#climbTimer);
    this.#climbTimer = setInterval(() => {
      const mayClimb = this.#active === 'native' && this.#state === 'connected' && this.#rung !== 'udp';
      if (mayClimb) void this.#keeper?.restart().catch(() => undefined);
    }, climbIntervalMs);
  }

  #stateOf(route: Route): MediaState {
    return (route === 'native' ? this.#native?.state : this.#tunnel?.state) ?? 'closed';
  }

  #nativeState(native: MediaConnection): void {
    if (this.#native !== native) return;
    if (this.#active === 'native') {
      this.#setState(native.state);
      if (native.state === 'interrupted' || native.state === 'failed') void this.#leaveNative(native);
    } else if (this.#active === 'tunnel' && native.state === 'connected') {
      this.activate('native', 'better-rung-proven').catch(() => undefined);
    }
  }

  /** The tunnel stands in where the native connection does not heal by itself in the meantime. */
  async #leaveNative(native: MediaConnection): Promise<void> {
    if (this.#options.tunnels.length === 0) return;
    try {
      await this.startTunnel();
      if (this.#native === native && native.state !== 'connected') await this.activate('tunnel', 'rung-failed');
    } catch {
      // The keeper goes on with the native connection.
    }
  }

  #probeLater(): void {
    clearTimeout(this.#probeTimer);
    if (this.#closed || this.#options.plan.rungs.length === 0) return;
    this.#probeTimer = setTimeout(() => void this.#probe(), this.#probes.delay(performance.now()));
  }

  /** Another native connection, for the last one's is no more to the server than that: media may come back to it. */
  async #probe(): Promise<void> {
    if (this.#closed || this.#active !== 'tunnel') return;
    const { control, plan } = this.#options;
    this.#native?.close();
    const native = new MediaConnection();
    try {
      native.usePlan(plan);
      this.adoptNative(native);
      await native.negotiate(false, async (sdp) => (await control.request({ type: 'offer', sdp })).sdp);
    } catch {
      native.close();
    }
    this.#probeLater();
  }

  /** A transport serves once: numbers go on without it, further than SRTP's rollover counter could follow. */
  #retire(route: Route): void {
    const native = this.#native;
    const tunnel = this.#tunnel;
    if (route === 'native') {
      this.#keeper?.stop();
      this.#keeper = null;
      this.#native = null;
    } else {
      this.#tunnel = null;
      this.#starting = null;
    }
    const stopSending = (): void => {
      for (const source of this.#sent.keys()) {
        const stopped = route === 'native' ? native?.send(source, null) : tunnel?.send(source, null);
        stopped?.catch(() => undefined);
      }
    };
    setTimeout(stopSending, overlapMs);
    // Until then its tracks may still be shown.
    setTimeout(() => {
      if (route === 'native') native?.close();
      else tunnel?.close();
    }, settleMs + overlapMs);
  }

  async #lookAtIce(native: MediaConnection): Promise<void> {
    const ice = await lookAtIce(native.peer);
    if (this.#native === native && !this.#closed) this.noteIce(ice);
  }

  async #readRung(reason: RungReason): Promise<void> {
    if (this.#active === 'tunnel') this.#moved(this.#options.control.rung, reason);
    else if (this.#native !== null) {
      const { selected } = await lookAtIce(this.#native.peer);
      // DTLS has come through a pair of candidates, so there is one, though not every browser tells which.
      this.#moved(selected ?? this.#options.plan.rungs[0] ?? 'udp', reason);
    }
  }

  #moved(to: Rung, why: RungReason | null): void {
    const from = this.#rung;
    if (to === from) return;
    this.#rung = to;
    if (from === null) return;
    const reason = why ?? (isBetterRung(to, from) ? 'better-rung-proven' : 'rung-failed');
    this.emit('rung', { from, to, reason });
    // Browsers check a pair that they have just selected once in 2.5 s at worst; the server goes on sending to where the
    // last nomination came from until then. A restart nominates at once.
    if (this.#active === 'native' && reason === 'rung-failed') void this.#keeper?.restart().catch(() => undefined);
  }

  /** Each slot shows what came before until something comes the new way. */
  #handOver(route: Route): void {
    if (route === 'native') {
      for (const { mid } of slots) {
        const track = this.#native?.receiver(mid)?.track;
        if (track === undefined) continue;
        const emit = (): void => {
          if (this.#active === 'native') this.#emitTrack(mid);
        };
        if (track.muted) track.addEventListener('unmute', emit, { once: true });
        else emit();
      }
    }
    setTimeout(() => {
      if (this.#active === route && !this.#closed) for (const { mid } of slots) this.#emitTrack(mid);
    }, settleMs);
  }

  #emitTrack(mid: string): void {
    const kind = slots.find((slot) => slot.mid === mid)?.kind;
    const track = this.#trackOf(mid);
    if (kind !== undefined && track !== null) this.emit('track', { mid, kind, track });
  }

  #setState(state: MediaState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit('state', state);
  }
}

/** Of the camera. What nothing is said of has just begun. */
function watchedRids(layers: readonly LayerWatch[]): Rid[] {
  return rids.filter((rid) => !layers.some((of) => of.source === 'camera' && of.rid === rid && !of.watched));
}

function asAttempt(
  {
    rung,
    outcome,
    beganAt,
    endedAt,
    reason,
  }: { rung: Rung; outcome: RungAttempt['outcome']; beganAt: number; endedAt: number; reason: string },
  now: number,
): RungAttempt {
  const ms = (outcome === 'pending' ? now : endedAt) - beganAt;
  return { rung, outcome, ms, ...(reason === '' ? {} : { reason }) };
}
