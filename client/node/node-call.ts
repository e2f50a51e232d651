/**
 * A call that is joined: the API of call.ts for Node, with werift's tracks. `join()` makes it. Long because the API is: most
 * methods hand on to who does the work.
 */
import { randomBytes } from 'node:crypto';
import type { MediaStreamTrack } from 'werift';
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
  CallStats,
  PublishOptions,
  PublishedTrack,
  RungAttempt,
  SendDataOptions,
  SubscribeOptions,
  TrackEvent,
} from '../call.ts';
import type { ClientClock } from '../clock.ts';
import type { ControlClient, EdgeRing } from '../control/index.ts';
import { Emitter } from '../emitter.ts';
import { ClientError } from '../errors.ts';
import type { Answer } from './sdp-answer.ts';
import { DataSession } from './data-session.ts';
import type { Roster } from '../page-model/roster.ts';
import type { JoinTimeline } from '../qos/join-timeline.ts';
import { QosReporter } from '../qos/qos-reporter.ts';
import { clientVersion } from '../version.ts';
import type { LadderEvent } from './ladder-log.ts';
import type { MediaSession } from './media-session.ts';
import type { NodeTransport } from './node-transport.ts';
import { NodePublishedTrack } from './published-track.ts';

/** What `join()` has put together. */
export interface NodeCallParts {
  readonly sessionId: string;
  readonly control: ControlClient;
  readonly transport: NodeTransport;
  readonly media: MediaSession;
  readonly roster: Roster;
  readonly clock: ClientClock;
  readonly joinMs: number;
  readonly answer: Answer;
  readonly edges: EdgeRing;
  /** Joins the same room anew, as the same participant: the session was lost. Rejects with a ClientError. */
  readonly rejoin: () => Promise<NodeCallParts>;
  readonly timeline: JoinTimeline;
  readonly telemetry: boolean;
}

export interface NodeCallEvents extends CallEvents<MediaStreamTrack> {
  /** Anything that happens on the ladder, for telemetry: tries, changes of rung and their reasons, times on each rung. */
  ladder: LadderEvent;
}

const reportIntervalMs = 1_000;
/** How long the control channel may take to say why the server ended the media session. */
const verdictMs = 1_500;
/** How long `leave()` waits for the server's word; the connection is closed in any case. */
const leaveTimeoutMs = 1_000;
/** How long a call whose session was lost tries to have another one, … */
const rejoinMs = 30_000;
/** … beginning with so long a pause, which doubles. */
const firstRejoinPauseMs = 100;
const maxRejoinPauseMs = 2_000;
/** What another try does not mend. */
const finalErrors: ReadonlySet<string> = new Set([
  'token-missing',
  'token-invalid',
  'token-expired',
  'token-wrong-room',
  'forbidden',
  'fingerprint-mismatch',
]);

export class NodeCall extends Emitter<NodeCallEvents> implements Call<MediaStreamTrack> {
  #parts: NodeCallParts;
  #rejoining = false;
  readonly #published = new Map<Source, NodePublishedTrack>();
  #data: DataSession;
  readonly #tracks: TrackEvent<MediaStreamTrack>[] = [];
  #telemetry: QosReporter | null;
  #timer: unknown;
  #verdictTimer: unknown = null;
  #subscription = { main: null as string | null, audio: true, video: true };
  #leaving: Promise<void> | null = null;
  #closed = false;

  constructor(parts: NodeCallParts) {
    super();
    this.#parts = parts;
    this.#data = this.#listen(parts);
    this.#announceTracks(parts.roster.slots);
    this.#telemetry = this.#startTelemetry();
    this.#timer = this.#startReports();
  }

  /** Another one after the session was lost and the room joined again. */
  get sessionId(): string {
    return this.#parts.sessionId;
  }

  /** Other edges that can serve the call, as the present one told last. */
  get edges(): readonly string[] {
    return this.#parts.edges.others;
  }

  #listen(parts: NodeCallParts): DataSession {
    const { control, transport, roster } = parts;
    const isOver = (): boolean => this.#closed || this.#parts !== parts;
    const data = new DataSession(transport, parts.answer, {
      onData: (event) => {
        if (!isOver()) this.emit('data', event);
      },
      onEnded: (error) => {
        if (!isOver()) this.emit('data-ended', { error });
      },
    });
    control.on('event', (notice) => {
      if (notice.type === 'data-ended' && !isOver()) {
        const error = data.endedByServer(notice.code, notice.message);
        if (error !== null) this.emit('data-ended', { error });
      }
      if (notice.type === 'layers' && !isOver()) this.emit('layers', notice.layers);
      const change = isOver() ? null : roster.apply(notice);
      if (change === null) return;
      if (change.type === 'slots') {
        this.#announceTracks(change.slots);
        this.emit('slots', change.slots);
      } else if (change.type === 'recording') {
        this.emit('recording', { active: change.active, fault: change.fault });
      } else {
        if (change.type === 'self-updated') this.#followMutes(change.participant);
        this.emit(change.type, change.participant);
      }
    });
    control.on('connected', () => {
      if (!isOver()) this.emit('control', { connected: true });
    });
    control.on('rung', ({ from, to }) => {
      if (!isOver() && from !== null) this.emit('control-rung', { from, to });
    });
    control.on('disconnected', () => {
      if (!isOver()) this.emit('control', { connected: false });
    });
    control.on('closed', ({ error }) => {
      if (isOver()) return;
      if (error?.code === 'session-lost' && this.#leaving === null) void this.#rejoin(error);
      else this.#end(this.#leaving === null ? error : null);
    });
    transport.on('rung', (change) => {
      if (!isOver()) this.emit('rung', change);
    });
    transport.on('ladder', (event) => {
      if (!isOver()) this.emit('ladder', event);
    });
    transport.on('closed', (error) => {
      if (!isOver() && !this.#rejoining) this.#mediaClosed(error);
    });
    return data;
  }

  get rung(): Rung {
    // A call is made when media can flow, so there is one.
    return this.#parts.transport.rung ?? this.controlRung;
  }

  get controlRung(): ControlRung {
    return this.#parts.control.rung;
  }

  /** Every try to open a rung since the join began, oldest first; the latest 64 for media, then those of the control channel. */
  get attempts(): readonly RungAttempt[] {
    const { control, transport } = this.#parts;
    return [...transport.attempts, ...control.attempts.map((attempt) => ({ ...attempt, channel: 'control' as const }))];
  }

  /** The latest 256 events of `ladder`, oldest first; those of the join are here. */
  get ladderLog(): readonly LadderEvent[] {
    return this.#parts.transport.ladderLog;
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

  get tracks(): readonly TrackEvent<MediaStreamTrack>[] {
    return this.#tracks;
  }

  get closed(): boolean {
    return this.#closed;
  }

  async publish(track: MediaStreamTrack, options: PublishOptions = {}): Promise<PublishedTrack<MediaStreamTrack>> {
    this.#assertOpen();
    const source = options.source ?? (track.kind === 'audio' ? 'microphone' : 'camera');
    if ((track.kind === 'audio') !== (source === 'microphone')) {
      throw new ClientError('bad-option', { detail: `a track of kind ${track.kind} cannot be a ${source}` });
    }
    if (this.#published.has(source)) throw new ClientError('already-publishing', { detail: source });
    const published = new NodePublishedTrack(track, source, options.muted ?? false, this.#parts, () => {
      this.#published.delete(source);
    });
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
    await this.#data.send(data, options);
  }

  requestKeyFrame(mid: string): void {
    if (!this.#closed) this.#parts.media.requestKeyFrame(mid);
  }

  async switchRung(rung: Rung): Promise<void> {
    this.#assertOpen();
    await this.#parts.transport.switchTo(rung);
  }

  /** For applications that know of another network, or of one that opened: better carriers of the control channel are tried now. */
  networkChanged(): void {
    this.#assertOpen();
    this.#parts.control.retry();
  }

  stats(): CallStats {
    const { control, transport, media, joinMs } = this.#parts;
    const tracks = media.trackStats;
    const sum = (direction: 'send' | 'receive', of: 'packets' | 'bytes' | 'lost'): number =>
      tracks.reduce((total, track) => total + (track.direction === direction ? track[of] : 0), 0);
    return {
      rung: this.rung,
      controlRung: this.controlRung,
      roundTripMs: transport.roundTripMs,
      controlRoundTripMs: control.roundTripMs,
      controlDelayTrend: control.delayTrend,
      packetsSent: sum('send', 'packets'),
      bytesSent: sum('send', 'bytes'),
      packetsReceived: sum('receive', 'packets'),
      bytesReceived: sum('receive', 'bytes'),
      packetsLost: sum('receive', 'lost'),
      joinMs,
      tracks,
    };
  }

  /** The server, or the one of its nodes that had the session, does not know it any more: the call goes on in another one. */
  async #rejoin(cause: ClientError): Promise<void> {
    if (this.#rejoining) return;
    this.#rejoining = true;
    const lost = this.#parts;
    const { clock } = lost;
    if (this.#verdictTimer !== null) clock.clearTimer(this.#verdictTimer);
    this.#verdictTimer = null;
    this.#data.close();
    lost.media.release();
    lost.transport.close();
    lost.control.close();
    this.emit('control', { connected: false });
    const deadline = clock.now() + rejoinMs;
    for (let pause = firstRejoinPauseMs; ; pause = Math.min(maxRejoinPauseMs, 2 * pause)) {
      try {
        const parts = await lost.rejoin();
        if (this.#isOver()) {
          parts.transport.close();
          parts.control.close();
          return;
        }
        this.#parts = parts;
        this.#rejoining = false;
        this.#data = this.#listen(parts);
        // Another session, and another call to whoever reads.
        this.#telemetry?.stop();
        this.#telemetry = this.#startTelemetry();
        await this.#replay(parts);
        return;
      } catch (error) {
        const isFinal = error instanceof ClientError && finalErrors.has(error.code);
        if (this.#isOver()) return;
        if (isFinal || clock.now() >= deadline) {
          this.#end(error instanceof ClientError ? error : cause);
          return;
        }
      }
      await new Promise<void>((resolve) => clock.setTimer(resolve, pause * (0.5 + Math.random() / 2)));
    }
  }

  /** What the participant had asked for; the session that knew it is gone. */
  async #replay(parts: NodeCallParts): Promise<void> {
    const { main, audio, video } = this.#subscription;
    // Whoever was main has another id now, if that one had to join again too.
    this.#subscription = { ...this.#subscription, main: null };
    if (main !== null || !audio || !video) await parts.control.request({ type: 'subscribe', ...this.#subscription });
    for (const published of this.#published.values()) await published.moveTo(parts);
    this.#announceTracks(parts.roster.slots);
    this.emit('control', { connected: true });
    this.emit('slots', parts.roster.slots);
  }

  /** A listener may have ended the call during an await. */
  #isOver(): boolean {
    return this.#closed || this.#leaving !== null;
  }

  leave(): Promise<void> {
    return (this.#leaving ??= this.#leave());
  }

  async #leave(): Promise<void> {
    if (this.#closed) return;
    const { control, clock } = this.#parts;
    this.#telemetry?.finish();
    let timer: unknown = null;
    const patience = new Promise<void>((resolve) => {
      timer = clock.setTimer(resolve, leaveTimeoutMs);
    });
    // Refused or lost: the end of the connection says the same.
    const left = control.request({ type: 'leave' }).catch(() => undefined);
    await Promise.race([left, patience]);
    clock.clearTimer(timer);
    this.#end(null);
  }

  #startTelemetry(): QosReporter | null {
    const { clock, control, timeline, telemetry } = this.#parts;
    if (!telemetry) return null;
    return new QosReporter({
      client: { kind: 'node', version: clientVersion },
      call: randomBytes(4).readUInt32BE(),
      rung: this.rung,
      events: this,
      control,
      clock,
      sample: () => ({ stats: this.stats(), attempts: this.attempts, join: timeline.steps }),
    });
  }

  #startReports(): unknown {
    const { clock, media } = this.#parts;
    return clock.setTimer(() => {
      if (this.#closed) return;
      media.sendReports(Date.now());
      this.#timer = this.#startReports();
      this.emit('stats', this.stats());
    }, reportIntervalMs);
  }

  /** A slot's track is given out when somebody is first shown on it. */
  #announceTracks(slots: readonly SlotAssignment[]): void {
    for (const { mid, participant } of slots) {
      const slot = this.#parts.media.slots.get(mid);
      if (slot === undefined || slot.announced || participant === null) continue;
      slot.announced = true;
      const event = { track: slot.track, mid, kind: slot.kind };
      this.#tracks.push(event);
      this.emit('track', event);
    }
  }

  /** A moderator's mute holds here as well: nothing is sent that the server would drop. */
  #followMutes(self: ParticipantInfo): void {
    for (const { source, muted } of self.publications) {
      if (muted) this.#published.get(source)?.mutedByServer();
    }
  }

  #publishedOf(track: MediaStreamTrack): NodePublishedTrack {
    for (const published of this.#published.values()) if (published.track === track) return published;
    throw new ClientError('not-publishing');
  }

  #assertOpen(): void {
    if (this.#closed || this.#leaving !== null) throw new ClientError('left');
  }

  /** The server ends DTLS whenever it ends a session. Why, the control channel tells, at about the same time. */
  #mediaClosed(error: ClientError): void {
    if (error.code !== 'session-ended') {
      this.#end(error);
      return;
    }
    this.#verdictTimer = this.#parts.clock.setTimer(() => {
      this.#end(this.#leaving === null ? error : null);
    }, verdictMs);
  }

  #end(error: ClientError | null): void {
    if (this.#closed) return;
    this.#closed = true;
    const { clock, control, media, transport } = this.#parts;
    this.#telemetry?.stop();
    clock.clearTimer(this.#timer);
    if (this.#verdictTimer !== null) clock.clearTimer(this.#verdictTimer);
    this.#data.close();
    transport.close();
    media.close();
    control.close();
    this.emit('closed', { error });
  }
}
