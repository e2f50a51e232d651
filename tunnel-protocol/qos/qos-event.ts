/**
 * What a client tells of its call every 30 s and at its end: figures only. Nothing in it names a person, a room, a session or
 * an address; `call` is a number made for this purpose, so that the events of one call can be told from those of another.
 */
import type { ControlRung, Rung } from '../path.ts';
import type { MediaKind } from '../sdp-shape.ts';

/** A reader takes its own version only. Fields that it does not know are dropped, so fields can be added within a version. */
export const qosVersion = 1;

export const qosLimits = {
  maxTracks: 16,
  maxAttempts: 32,
  maxChanges: 32,
  maxDwells: 8,
  maxVersionChars: 32,
  /** A week: no duration is longer. */
  maxMs: 604_800_000,
  /** Of rates: what no access line of today carries. */
  maxBitsPerSecond: 10_000_000_000,
} as const;

/** How often, in ms. */
export const qosIntervalMs = 30_000;

export const qosClientKinds = ['browser', 'node', 'other'] as const;
export const qosOutcomes = ['pending', 'connected', 'failed', 'superseded', 'skipped'] as const;
export const qosReasons = ['joined', 'better-rung-proven', 'rung-failed', 'requested'] as const;

/** Ms from the beginning of the join to the end of each step, as far as the client can tell; null where it cannot. */
export interface QosJoin {
  readonly sessionMs: number | null;
  /** The server's welcome on the control channel. */
  readonly controlMs: number | null;
  /** The first pair of candidates, or path, is nominated. */
  readonly iceMs: number | null;
  readonly dtlsMs: number | null;
  /** The first media packet of somebody else came. */
  readonly firstMediaMs: number | null;
}

/** Of one section, over the interval. */
export interface QosTrack {
  readonly mid: string;
  readonly kind: MediaKind;
  readonly direction: 'send' | 'receive';
  readonly bitsPerSecond: number;
  readonly packets: number;
  readonly lost: number;
  readonly jitterMs: number | null;
  /** Of what is sent: as the server's reports tell. */
  readonly roundTripMs: number | null;
  /** Received video. */
  readonly freezes: number | null;
  readonly freezeMs: number | null;
  /** Received audio: 0–1 of what was played. */
  readonly concealedFraction: number | null;
  /** Received audio: mean time in the jitter buffer. */
  readonly playoutDelayMs: number | null;
  /** Received audio, by ITU-T G.107. */
  readonly mos: number | null;
}

export interface QosAttempt {
  readonly rung: Rung;
  readonly channel: 'media' | 'control';
  readonly outcome: (typeof qosOutcomes)[number];
  readonly ms: number;
}

export interface QosChange {
  /** Null at the first rung. */
  readonly from: Rung | null;
  readonly to: Rung;
  readonly reason: (typeof qosReasons)[number];
}

export interface QosEvent {
  readonly v: typeof qosVersion;
  /** 32 random bits, made for the events of one call. */
  readonly call: number;
  /** Counts the call's events from 0. */
  readonly seq: number;
  /** The call is over; nothing follows. */
  readonly final: boolean;
  readonly client: { readonly kind: (typeof qosClientKinds)[number]; readonly version: string };
  /** Since the call began. */
  readonly durationMs: number;
  /** What the figures below are of, but for `join`. */
  readonly intervalMs: number;
  /** That carries media, and that carries the control channel, at the end of the interval. */
  readonly rung: Rung;
  readonly controlRung: ControlRung;
  readonly join: QosJoin;
  /** Of the media path, and of the control channel. */
  readonly roundTripMs: number | null;
  readonly controlRoundTripMs: number | null;
  /** The worst of the received audio tracks. */
  readonly mos: number | null;
  readonly attempts: readonly QosAttempt[];
  readonly dwells: readonly { readonly rung: Rung; readonly ms: number }[];
  readonly changes: readonly QosChange[];
  readonly reconnections: { readonly media: number; readonly control: number };
  readonly tracks: readonly QosTrack[];
}
