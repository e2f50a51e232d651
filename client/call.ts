/**
 * The public face of a call, the same in Node and in a browser; only the type of a track differs.
 *
 * ```ts
 * const call = await join('https://edge.example', { room: 'standup', name: 'Ada', token, signal });
 * call.on('rung', ({ from, to, reason }) => console.log(`${from} → ${to}: ${reason}`));
 * call.on('track', ({ track, mid, kind }) => play(track));
 * const camera = await call.publish(track);
 * await camera.mute();
 * await call.leave();
 * ```
 */
import type {
  ControlRung,
  DelayTrend,
  LayerWatch,
  MediaKind,
  ParticipantInfo,
  ParticipantStatus,
  Rung,
  SlotAssignment,
  SlotView,
  Source,
} from '../tunnel-protocol/index.ts';
import type { ClientError } from './errors.ts';
import type { EventSource } from './emitter.ts';

/**
 * An HTTP proxy, `http://` or `https://`, to which connections are made by CONNECT. User name and password (Basic, Digest)
 * may stand in the URL, percent-encoded. Without `url` they are for the proxies that the environment names.
 * `false`: no proxy, whatever the environment says.
 */
export type ProxyOption =
  false | string | { readonly url?: string; readonly username?: string; readonly password?: string };

/** What `join(url, options)` takes. Wrong values reject with ClientError `bad-option`. */
export interface JoinOptions {
  readonly room: string;
  /** A join token; may be left out where the edge admits everyone. */
  readonly token?: string;
  /** Shown to the others. */
  readonly name?: string;
  /** Calls the join off: it rejects with ClientError `aborted`. Without effect once joined. */
  readonly signal?: AbortSignal;
  /**
   * The rungs that media may use; all of this client's if absent. With `['websocket']` no UDP packet leaves. In Node these
   * are all: UDP and the tunnel are tried at once, the others one shortly after the other while nothing better answers.
   * Those of websocket, http-stream and long-poll among them are the ones that the control channel uses, if any is.
   */
  readonly rungs?: readonly Rung[];
  /**
   * The proxy for all that runs on TCP: requests, the tunnel, and the rungs ice-tcp, turn-tcp and turn-tls. If absent, the
   * environment variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY say which. Node only.
   */
  readonly proxy?: ProxyOption;
  /** Extra authorities that may sign the certificate of the edge, or of a proxy that intercepts TLS, PEM. Node only. */
  readonly ca?: string | readonly string[];
  /** Accepts any certificate of the edge. For tests on a machine of your own only. Node only. */
  readonly insecure?: boolean;
  /**
   * Whether the edge is told every 30 s, and at the end, how the call goes: figures alone, nothing that names anybody
   * (tunnel-protocol/README.md, "telemetry"). True if absent.
   */
  readonly telemetry?: boolean;
  /** How long the whole join may take before it rejects; 15 000 if absent. */
  readonly timeoutMs?: number;
}

/** Why media moved. `joined`: its first path. */
export type RungReason = 'joined' | 'better-rung-proven' | 'rung-failed' | 'requested';

export interface RungChange {
  /** Null at the first rung of a call. */
  readonly from: Rung | null;
  readonly to: Rung;
  readonly reason: RungReason;
}

/**
 * How one try to open a rung ended. `pending`: it still goes on. `connected`: the server answered an authenticated check
 * on it, so it can carry media. `failed`: `reason` says why. `superseded`: called off, for a better rung works.
 * `skipped`: not tried, for the edge offers no server for it.
 */
export type AttemptOutcome = 'pending' | 'connected' | 'failed' | 'superseded' | 'skipped';

export interface RungAttempt {
  readonly rung: Rung;
  readonly outcome: AttemptOutcome;
  /** From the beginning of the attempt to its outcome, or until now. */
  readonly ms: number;
  /** For people; stable enough to count by. */
  readonly reason?: string;
  /** What the attempt was for, where that was not media: the control channel, on which media may go as well. */
  readonly channel?: 'control';
}

/** A receive slot came to life. The track lives as long as the call; who is shown on it is told by `slots`. */
export interface TrackEvent<Track> {
  readonly track: Track;
  /** Names the slot; the `mid` of its {@link SlotAssignment}. */
  readonly mid: string;
  readonly kind: MediaKind;
}

export interface TrackStats {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly direction: 'send' | 'receive';
  readonly packets: number;
  readonly bytes: number;
  /** Receiving: packets that should have come and did not (RFC 3550 section 6.4.1). Sending: as the server reports it. */
  readonly lost: number;
  readonly jitterMs: number;
  /** What not every client, and not every kind of track, can tell is left out. Sums grow over the whole call. */
  readonly roundTripMs?: number | undefined;
  /** Received video: pictures that stood still noticeably longer than usual, and for how long (webrtc-stats). */
  readonly freezes?: number | undefined;
  readonly freezeMs?: number | undefined;
  /** Received audio: samples played so far, and those among them that were made up because packets were missing. */
  readonly playedSamples?: number | undefined;
  readonly concealedSamples?: number | undefined;
  /** Received audio: the time that samples have spent in the jitter buffer so far, and how many came out of it. */
  readonly bufferedMs?: number | undefined;
  readonly bufferedSamples?: number | undefined;
}

/** Counters grow over the whole call. Byte counts are of RTP packets, headers included, without SRTP's tag. */
export interface CallStats {
  readonly rung: Rung;
  readonly controlRung: ControlRung;
  /** Of the media path's latest check; null before the first. */
  readonly roundTripMs: number | null;
  /** Of the control channel's latest ping; null before the first. */
  readonly controlRoundTripMs: number | null;
  /** By how much that ping was above the shortest of the last minute, each way for itself: what queues where. */
  readonly controlDelayTrend: DelayTrend | null;
  readonly packetsSent: number;
  readonly bytesSent: number;
  readonly packetsReceived: number;
  readonly bytesReceived: number;
  readonly packetsLost: number;
  /** From the beginning of the join until media could flow. */
  readonly joinMs: number;
  readonly tracks: readonly TrackStats[];
}

export interface CallEvents<Track> {
  rung: RungChange;
  track: TrackEvent<Track>;
  'participant-joined': ParticipantInfo;
  'participant-left': ParticipantInfo;
  'participant-updated': ParticipantInfo;
  /** The server changed what it says of this participant: a moderator muted a publication. */
  'self-updated': ParticipantInfo;
  /** The whole assignment of the receive slots, whenever it changes. */
  slots: readonly SlotAssignment[];
  /**
   * Which of the published video layers anyone is to be sent, whenever that changes. The page's client stops sending the others
   * by itself. In Node, where whoever made the track encodes it, this is for the encoder.
   */
  layers: readonly LayerWatch[];
  /** The room is recorded from now on, or no longer; `fault` is why it ended by itself. */
  recording: { readonly active: boolean; readonly fault: string | null };
  /** The control channel lost its connection, or has one again. Media on another connection goes on. */
  control: { readonly connected: boolean };
  /** The control channel is on another tunnel than before. */
  'control-rung': { readonly from: ControlRung; readonly to: ControlRung };
  /** A message of another participant. */
  data: DataEvent;
  /** Data channels are over, the call is not. */
  'data-ended': { readonly error: ClientError };
  /** Once a second. */
  stats: CallStats;
  /** Once. `error` is null after `leave()`. Nothing follows. */
  closed: { readonly error: ClientError | null };
}

export interface PublishOptions {
  /** What the track shows; `microphone` for audio and `camera` for video if absent. */
  readonly source?: Source;
  readonly muted?: boolean;
}

export interface PublishedTrack<Track> {
  readonly track: Track;
  readonly source: Source;
  readonly muted: boolean;
  mute(muted?: boolean): Promise<void>;
  unpublish(): Promise<void>;
}

/** How a message travels. What is left out is the default: reliable, in order, to everybody in the room. */
export interface SendDataOptions {
  /** Names what the message is about; messages of one topic, reliability and addressee are in order among themselves. */
  readonly topic?: string;
  /** The id of the participant to send to, instead of all. */
  readonly to?: string;
  readonly ordered?: boolean;
  /** How often a lost message is sent again; 0: never. Not together with `maxLifetimeMs`. */
  readonly maxRetransmits?: number;
  /** After this time a message is not sent any more. */
  readonly maxLifetimeMs?: number;
}

export interface DataEvent {
  /** The id of the participant who sent it. */
  readonly from: string;
  readonly topic: string;
  readonly data: string | Uint8Array;
}

export interface SubscribeOptions {
  /** The participant to pin as main; null lets the server choose. */
  readonly main?: string | null;
  /** Kinds switched off are not sent at all. */
  readonly audio?: boolean;
  readonly video?: boolean;
}

/** Every method that talks to the server rejects with a ClientError. */
export interface Call<Track = unknown> extends EventSource<CallEvents<Track>> {
  /** The rung that carries media. */
  readonly rung: Rung;
  /** The rung that carries the control channel. */
  readonly controlRung: ControlRung;
  readonly sessionId: string;
  readonly self: ParticipantInfo;
  /** The others in the room. */
  readonly participants: readonly ParticipantInfo[];
  readonly slots: readonly SlotAssignment[];
  /** Whether the room is recorded. */
  readonly recording: boolean;
  /** The tracks of the slots that are alive already; later ones come by `track`. */
  readonly tracks: readonly TrackEvent<Track>[];
  readonly closed: boolean;

  publish(track: Track, options?: PublishOptions): Promise<PublishedTrack<Track>>;
  unpublish(track: Track): Promise<void>;
  mute(track: Track, muted?: boolean): Promise<void>;
  /** What is left out stays as it is. */
  subscribe(options: SubscribeOptions): Promise<void>;
  /**
   * How the video slots are shown: large (`h`), small (`l`) or not at all (null), so that no more is sent than can be seen. The
   * whole view: slots that are left out are as at the beginning, main large and thumbnails small.
   */
  view(slots: readonly SlotView[]): Promise<void>;
  /** Replaces this participant's status, which the others see; at most 1 KiB as JSON. */
  status(status: ParticipantStatus): Promise<void>;
  /**
   * Sends a message of at most 64 KiB to the others in the room who have data channels. Resolves when it is on its way,
   * which takes as long as more than 1 MiB waits before it. Rejects with `data-unavailable` or `data-too-large`.
   */
  sendData(data: string | Uint8Array, options?: SendDataOptions): Promise<void>;
  /** Asks the publisher behind a slot for a key frame. For decoders that lost track. */
  requestKeyFrame(mid: string): void;
  /**
   * Moves media to another rung, make before break, and stays there while that rung works. Opens it if it is not open.
   * Rejects with `rung-unavailable` when it does not carry media, at the latest after 8 s.
   */
  switchRung(rung: Rung): Promise<void>;
  stats(): CallStats;
  /** Leaves the room and frees everything. Idempotent; never rejects. */
  leave(): Promise<void>;
}
