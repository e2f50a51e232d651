/** A call that is joined: the API of call.ts in a browser. `join()` in browser-call.ts makes it. */
import type {
  ControlRung,
  ParticipantInfo,
  ParticipantStatus,
  Rung,
  SlotAssignment,
  SlotView,
  Source,
} from '../../tunnel-protocol/index.ts';
import type {
  Call,
  CallEvents,
  PublishOptions,
  PublishedTrack,
  RungAttempt,
  SendDataOptions,
  SubscribeOptions,
  TrackEvent,
} from '../call.ts';
import type { ControlClient, EdgeRing } from '../control/index.ts';
import { Emitter } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import type { Roster } from '../page-model/roster.ts';
import { CallSampler } from './call-sampler.ts';
import type { BrowserTrackStats, CallSample } from './call-sampler.ts';
import type { JoinTimeline } from '../qos/join-timeline.ts';
import type { QosReporter } from '../qos/qos-reporter.ts';
import type { MediaRoutes } from './media-routes.ts';
import type { PageData } from './page-data.ts';
import { Published } from './published.ts';

/** Where the time of a join went, in ms. The parts follow each other; their sum is `joinMs`. */
export interface JoinSplit {
  /** `POST /v1/sessions`. */
  readonly sessionMs: number;
  /** The tunnel, until the server's welcome. */
  readonly controlMs: number;
  /** Joining the room, offer and answer. */
  readonly negotiationMs: number;
  /** ICE and DTLS, until media can flow. */
  readonly mediaMs: number;
}

export interface BrowserCallStats extends ReturnType<Call['stats']>, Omit<CallSample, 'ice'> {
  readonly tracks: readonly BrowserTrackStats[];
  readonly joinSplit: JoinSplit;
  /** False while media is interrupted. */
  readonly mediaConnected: boolean;
}

export interface BrowserCallEvents extends CallEvents<MediaStreamTrack> {
  /** Media is interrupted (the client restarts ICE by itself), or flows again. */
  media: { readonly connected: boolean };
  /** The server changed what it says of oneself: a moderator muted a publication. */
  'self-updated': ParticipantInfo;
}

/** What `join()` has put together. */
export interface CallParts {
  readonly url: string;
  readonly sessionId: string;
  readonly resumeToken: string;
  /** Where else the session can be served. */
  readonly edges: EdgeRing;
  readonly control: ControlClient;
  readonly media: MediaRoutes;
  /** Null where the browser's own WebRTC, which has the channels, is not used. */
  readonly data: PageData | null;
  readonly sampler: CallSampler;
  readonly roster: Roster;
  readonly firstSample: CallSample;
  readonly joinSplit: JoinSplit;
  readonly timeline: JoinTimeline;
  readonly telemetry: boolean;
}

const sampleIntervalMs = 1_000;
/** How long `leave()` waits for the server's word; the connection is closed in any case. */
const leaveTimeoutMs = 1_000;

export class BrowserCall extends Emitter<BrowserCallEvents> implements Call<MediaStreamTrack> {
  readonly sessionId: string;
  readonly #parts: CallParts;
  readonly #data: PageData | null;
  readonly #published = new Map<Source, Published>();
  readonly #timer: number;
  #telemetry: QosReporter | null = null;
  #stopWatching: (() => void) | null = null;
  #interrupted = false;
  #sample: CallSample;
  #subscription = { main: null as string | null, audio: true, video: true };
  #closed = false;
  #ended = false;

  constructor(parts: CallParts) {
    super();
    const { control, media, roster } = parts;
    this.#parts = parts;
    this.sessionId = parts.sessionId;
    this.#sample = parts.firstSample;
    media.assign(roster.slots);
    this.#data = parts.data;
    // By then whoever is given the call listens.
    setTimeout(() => {
      this.#data?.listen((event) => {
        this.emit('data', event);
      });
    }, 0);
    control.on('event', (notice) => {
      if (notice.type === 'data-ended') {
        const error = new ClientError('data-unavailable', { detail: notice.message, serverCode: notice.code });
        this.#data?.end(error);
        this.emit('data-ended', { error });
      }
      if (notice.type === 'layers') {
        void media.watch(notice.layers);
        this.emit('layers', notice.layers);
      }
      const change = roster.apply(notice);
      if (change === null) return;
      if (change.type === 'slots') {
        media.assign(change.slots);
        this.emit('slots', change.slots);
      } else if (change.type === 'recording') this.emit('recording', change);
      else this.emit(change.type, change.participant);
    });
    control.on('connected', () => {
      this.emit('control', { connected: true });
    });
    control.on('rung', ({ from, to }) => {
      if (from !== null) this.emit('control-rung', { from, to });
    });
    control.on('disconnected', () => {
      this.emit('control', { connected: false });
    });
    control.on('closed', ({ error }) => {
      this.#end(error);
    });
    media.on('state', (state) => {
      if (state === 'connected') void this.#takeSample();
      this.#countMedia(state === 'connected');
      this.emit('media', { connected: state === 'connected' });
    });
    media.on('rung', (change) => {
      this.emit('rung', change);
    });
    media.on('track', (track) => {
      this.emit('track', track);
    });
    this.#timer = setInterval(() => void this.#takeSample(), sampleIntervalMs);
    if (parts.telemetry) void this.#startTelemetry();
    if (media.mayTunnel && media.native !== null) void this.#watchNative();
  }

  /** Names the participant of a session that was lost to the next one. */
  get resumeToken(): string {
    return this.#parts.resumeToken;
  }

  /** Where the room can be joined again: the edge that serves the call first. */
  get edges(): readonly string[] {
    const { edges, url } = this.#parts;
    const { origin } = new URL(url, location.href);
    return [...new Set([new URL(edges.at(origin)).origin, origin, ...edges.others])];
  }

  get rung(): Rung {
    // A call is made when media can flow, so there is one.
    return this.#parts.media.rung ?? this.controlRung;
  }

  /** Of the way that media takes now; those of another way come by `track` when it is taken. */
  get tracks(): readonly TrackEvent<MediaStreamTrack>[] {
    return this.#parts.media.tracks;
  }

  get controlRung(): ControlRung {
    return this.#parts.control.rung;
  }

  /** Every rung that ICE tried since the join began, oldest first, the latest 64; the tunnel for media; those of the control channel. */
  get attempts(): readonly RungAttempt[] {
    const { control, media } = this.#parts;
    const ofControl = control.attempts.map((attempt) => ({ ...attempt, channel: 'control' as const }));
    return [...media.attempts(performance.now()), ...ofControl];
  }

  /** What became of each rung in the latest negotiation; those that were not allowed are not in it. */
  get ladder(): ReadonlyMap<Rung, RungAttempt> {
    return this.#parts.media.ladder(performance.now());
  }

  get self(): ParticipantInfo {
    return this.#parts.roster.self;
  }

  get participants(): readonly ParticipantInfo[] {
    return this.#parts.roster.others;
  }

  get recording(): boolean {
    return this.#parts.roster.recording;
  }

  get slots(): readonly SlotAssignment[] {
    return this.#parts.roster.slots;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** For tests and support: nothing but reading is expected of who takes it. Null where media has the tunnel alone. */
  get peer(): RTCPeerConnection | null {
    return this.#parts.media.native?.peer ?? null;
  }

  /** Of the last moments, 0–1, of what plays in an audio slot. */
  audioLevel(mid: string): number {
    return this.#parts.media.level(mid);
  }

  async publish(track: MediaStreamTrack, options: PublishOptions = {}): Promise<PublishedTrack<MediaStreamTrack>> {
    this.#assertOpen();
    const source = options.source ?? (track.kind === 'audio' ? 'microphone' : 'camera');
    if ((track.kind === 'audio') !== (source === 'microphone')) {
      throw new ClientError('bad-option', { detail: `a ${track.kind} track cannot be a ${source}` });
    }
    if (this.#published.has(source)) throw new ClientError('already-publishing', { detail: source });
    const published = new Published(
      track,
      source,
      options.muted ?? false,
      this.#parts.media,
      this.#parts.control,
      () => {
        this.#published.delete(source);
      },
    );
    this.#published.set(source, published);
    try {
      await published.begin();
    } catch (error) {
      this.#published.delete(source);
      throw error;
    }
    return published;
  }

  async unpublish(track: MediaStreamTrack): Promise<void> {
    await this.#publishedOf(track).unpublish();
  }

  async mute(track: MediaStreamTrack, muted = true): Promise<void> {
    await this.#publishedOf(track).mute(muted);
  }

  async subscribe(options: SubscribeOptions): Promise<void> {
    this.#assertOpen();
    this.#subscription = { ...this.#subscription, ...options };
    await this.#parts.control.request({ type: 'subscribe', ...this.#subscription });
  }

  async view(slots: readonly SlotView[]): Promise<void> {
    this.#assertOpen();
    await this.#parts.control.request({ type: 'view', slots });
  }

  async status(status: ParticipantStatus): Promise<void> {
    this.#assertOpen();
    await this.#parts.control.request({ type: 'status', status });
  }

  async sendData(data: string | Uint8Array, options: SendDataOptions = {}): Promise<void> {
    this.#assertOpen();
    if (this.#data === null) throw new ClientError('data-unavailable', { detail: 'no WebRTC' });
    await this.#data.send(data, options);
  }

  /** Decoders ask for key frames by themselves whenever they lost track; there is nothing to add. */
  requestKeyFrame(mid: string): void {
    if (!this.tracks.some((track) => track.mid === mid))
      throw new ClientError('bad-option', { detail: `no slot ${mid}` });
  }

  /** The browser's ICE chooses among its rungs by itself, so only the present one can be asked for. */
  switchRung(rung: Rung): Promise<void> {
    if (rung === this.rung) return Promise.resolve();
    return Promise.reject(new ClientError('rung-unavailable', { detail: rung }));
  }

  /** The page's own media stack while there is one; for tests and support, as `peer`. */
  get tunnel(): MediaRoutes['tunnel'] {
    return this.#parts.media.tunnel;
  }

  /** Restarts ICE now, as the client does by itself when the network changes. */
  restartIce(): Promise<void> {
    return this.#parts.media.restartIce();
  }

  stats(): BrowserCallStats {
    const { control, media, joinSplit } = this.#parts;
    const { ice, ...figures } = this.#sample;
    return {
      ...figures,
      roundTripMs: ice.roundTripMs,
      rung: this.rung,
      controlRung: this.controlRung,
      controlRoundTripMs: control.roundTripMs,
      controlDelayTrend: control.delayTrend,
      joinMs: joinSplit.sessionMs + joinSplit.controlMs + joinSplit.negotiationMs + joinSplit.mediaMs,
      joinSplit,
      mediaConnected: media.state === 'connected',
    };
  }

  async leave(): Promise<void> {
    if (this.#closed) return;
    const { control } = this.#parts;
    this.#telemetry?.finish();
    const left = control.request({ type: 'leave' }).catch(() => undefined);
    this.#stop();
    await Promise.race([left, new Promise((resolve) => setTimeout(resolve, leaveTimeoutMs))]);
    control.close('left');
    this.#end(null);
  }

  /** Loaded when the call stands: what it takes must not delay a join. */
  async #startTelemetry(): Promise<void> {
    const { control, timeline } = this.#parts;
    try {
      const { startTelemetry } = await import('./telemetry.ts');
      if (this.#closed) return;
      this.#telemetry = startTelemetry({
        rung: this.rung,
        events: this,
        control,
        sample: () => ({ stats: this.stats(), attempts: this.attempts, join: timeline.steps }),
      });
    } catch {
      // The edge was replaced by another version, or is out of reach: the call goes on without telemetry.
    }
  }

  /** As telemetry is. */
  async #watchNative(): Promise<void> {
    try {
      const { watchNative } = await import('./native-watch.ts');
      if (!this.#closed) this.#stopWatching = watchNative(this.#parts.media, this.#parts.control);
    } catch {
      // Media then moves when ICE itself finds its way dead.
    }
  }

  #countMedia(connected: boolean): void {
    if (connected && this.#interrupted) this.#telemetry?.mediaReconnected();
    this.#interrupted = !connected;
  }

  async #takeSample(): Promise<void> {
    const sample = await this.#parts.sampler.sample();
    if (this.#closed) return;
    this.#sample = sample;
    this.#parts.media.noteIce(sample.ice);
    this.emit('stats', this.stats());
  }

  #publishedOf(track: MediaStreamTrack): Published {
    for (const published of this.#published.values()) if (published.track === track) return published;
    throw new ClientError('not-publishing');
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClientError('left');
  }

  #stop(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#telemetry?.stop();
    this.#stopWatching?.();
    this.#data?.end(new ClientError('left'));
    this.#parts.media.close();
  }

  #end(error: ClientError | null): void {
    if (!this.#closed) this.#stop();
    if (this.#ended) return;
    this.#ended = true;
    this.emit('closed', { error });
  }
}
