/** The JSON beside a recording's files: what is in them, and how it lies in time. All moments are ms since `startedAt`. */
import type { MediaKind, Source } from '../../tunnel-protocol/index.ts';
import type { RecordingFault } from './recording-store.ts';

export const manifestVersion = 1;

/** Who or what began or ended a recording. `room-ended`: nobody was left. */
export type RecordingCause = 'admin' | 'api' | 'token' | 'room-ended' | 'shutdown' | RecordingFault;

export interface RecordingManifest {
  readonly version: typeof manifestVersion;
  readonly id: string;
  readonly room: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** Null while it runs; for good, where the process died. */
  endedAt: string | null;
  durationMs: number;
  readonly startedBy: RecordingCause;
  endedBy: RecordingCause | null;
  readonly participants: ManifestParticipant[];
  readonly tracks: ManifestTrack[];
  readonly files: ManifestFile[];
  readonly layout: LayoutChange[];
}

export interface ManifestParticipant {
  readonly id: string;
  readonly identity: string;
  readonly name: string;
  /** 0 for those who were there. */
  readonly joinedMs: number;
  leftMs: number | null;
}

export interface ManifestTrack {
  readonly participant: string;
  readonly source: Source;
  readonly kind: MediaKind;
  codec: string;
  /** Of its first and its last frame; null before there is one. */
  startMs: number | null;
  endMs: number | null;
  frames: number;
  /** Packets that never came. */
  lostPackets: number;
  /** Frames that could not be written in time. */
  droppedFrames: number;
  /** Where nothing is: it was muted, or not sent, or lost on the way. At most {@link maxEntries}, as all lists here. */
  readonly gaps: { readonly fromMs: number; readonly toMs: number; readonly cause: 'muted' | 'missing' }[];
  /** Of video, whenever it changed: simulcast layers and rotated phones. */
  readonly sizes: { readonly atMs: number; readonly width: number; readonly height: number }[];
}

export interface ManifestFile {
  readonly name: string;
  readonly participant: string;
  /** Where the file's own time 0 is. */
  readonly startMs: number;
  endMs: number;
  bytes: number;
  readonly tracks: readonly { readonly number: number; readonly source: Source; readonly codec: string }[];
}

/** From this moment on this was the main picture of whoever pinned nobody. */
export interface LayoutChange {
  readonly atMs: number;
  readonly main: { readonly participant: string; readonly source: Source } | null;
}

const maxEntries = 10_000;

/** Adds to a list that must not grow for ever. */
export function note<T>(list: T[], entry: T): void {
  if (list.length < maxEntries) list.push(entry);
}
