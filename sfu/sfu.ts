/** The SFU's public face. A gateway talks to it through this interface alone, in this process or over a trunk. */
import type { BindNativeCiphers, Path, Permission, Publication, QosEvent, Rung } from '../tunnel-protocol/index.ts';
import type { RecordingStore } from './recording/recording-store.ts';

export type { RecordingFault, RecordingFile, RecordingPlace, RecordingStore } from './recording/recording-store.ts';

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface Candidate {
  readonly transport: 'udp' | 'tcp';
  readonly address: string;
  readonly port: number;
}

export interface SfuConfig {
  readonly nodeId: string;
  /** Written into answers, best first. */
  readonly candidates: readonly Candidate[];
  /** How long a session may be without any connection before it ends. */
  readonly sessionGraceMs: number;
  readonly maxParticipantsPerRoom: number;
  /** Begins the ufrags of this SFU, so that an edge with several behind it knows whom a check is for; ice-chars. */
  readonly ufragPrefix?: string;
}

/** Media of a session began on a rung, or moved to another. */
export interface RungMove {
  /** Null when it began. */
  readonly from: Rung | null;
  readonly to: Rung;
  /** `path-lost`: the path before ended or lost its consent; the client did not ask. */
  readonly reason: 'nominated' | 'path-lost';
  /** Since the session was opened, in ms. */
  readonly afterMs: number;
}

export interface SfuDeps {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
  readonly log: Logger;
  /** Calls `run` once, when what this turn of the event loop brought was handled; `setImmediate` unless given. */
  readonly endOfTurn?: (run: () => void) => void;
  /** Does the AES and GCM of SRTP, where there is one; `node:crypto` and WebAssembly do otherwise. */
  readonly nativeCiphers?: BindNativeCiphers | null;
  /** For metrics. Must not throw. */
  readonly onRung?: (move: RungMove, sessionId: string) => void;
  /** A client told how its call went; checked, and bounded. Must not throw. */
  readonly onTelemetry?: (event: QosEvent) => void;
  /** Where recordings go; without it no room can be recorded. */
  readonly recording?: RecordingDeps;
  /** A session has ended, for whatever reason; for what else was given to it. Must not throw. */
  readonly onSessionEnd?: (sessionId: string) => void;
  /**
   * The session's control channel is on this path from now on. `take` counts a session's from 1: of what two edges say of a
   * session, the word with the higher one holds. Must not throw.
   */
  readonly onTaken?: (sessionId: string, path: Path, take: number) => void;
}

export interface RecordingDeps {
  readonly store: RecordingStore;
  /** Unix time in ms. */
  readonly wallClock: () => number;
}

/** A recording that runs. */
export interface RecordingSummary {
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
}

export interface SessionRequest {
  readonly sessionId: string;
  readonly room: string;
  readonly identity: string;
  readonly name: string;
  readonly can: readonly Permission[];
  /** Takes part without being shown to others. */
  readonly hidden: boolean;
  /** By the token's policy the room is recorded from when this one joins. */
  readonly record?: boolean;
  /** Where the SFU is reached through the edge that asks; written into answers after the SFU's own. */
  readonly candidates?: readonly Candidate[];
}

/** Of a session without a control channel: whether its client sends media (WHIP, RFC 9725) or receives it (WHEP). */
export type WhipRole = 'whip' | 'whep';

export interface WhipOpened {
  readonly epoch: number;
  readonly answer: string;
  /** Names the ICE session: another one after each restart. Letters, digits, `+` and `/`. */
  readonly iceTag: string;
}

/** `malformed`: it is not what it should be. `unsupported`: it is, but cannot be served. */
export interface WhipRefusal {
  readonly refused: 'malformed' | 'unsupported';
  /** Where, and what; names lines of the offer. */
  readonly detail: string;
}

/**
 * What became of a fragment with ICE of a client (RFC 8840): taken, or taken as a restart, which has an answer. `stale`: it is for
 * another ICE session than there is. `too-many`: they come too fast.
 */
export type WhipPatched =
  | { readonly outcome: 'trickled' | 'stale' | 'too-many' }
  | { readonly outcome: 'restarted'; readonly fragment: string; readonly iceTag: string }
  | { readonly outcome: 'malformed'; readonly detail: string };

export interface RoomSummary {
  readonly room: string;
  /** Null while it is not recorded. */
  readonly recording: RecordingSummary | null;
  readonly participants: readonly {
    readonly id: string;
    readonly identity: string;
    readonly name: string;
    readonly rung: string | null;
    readonly publications: readonly Publication[];
  }[];
}

/** What ended a session, as metrics and clients see it. */
export type EndReason = 'left' | 'kicked' | 'room-ended' | 'expired' | 'shutdown' | 'moved' | 'protocol-error';

export interface Sfu {
  start(): Promise<void>;
  /** Makes the participant and its transport. Throws SfuError `session-exists`, `room-full` or `closed`. */
  openSession(request: SessionRequest): { readonly epoch: number };
  /**
   * The same for a client that offers media and has no control channel: it joins when its media is connected, and its session
   * lives as long as that has consent. Throws as `openSession`.
   */
  openWhip(request: SessionRequest, role: WhipRole, offer: string): WhipOpened | WhipRefusal;
  /**
   * A session that `openWhip` made: its client has candidates, or restarts ICE. `iceTags` are the ICE sessions that it may be about;
   * null: whichever there is. `candidates`, where given, take the place of the request's. Throws SfuError `unknown-session`.
   */
  patchWhip(
    sessionId: string,
    fragment: string,
    iceTags: readonly string[] | null,
    candidates?: readonly Candidate[],
  ): WhipPatched;
  hasSession(sessionId: string): boolean;
  /**
   * A tunnel connection, authenticated by the gateway as this session's, is open. It replaces the session's earlier
   * connection, which is closed with code `replaced`. `candidates`, where given, take the place of the request's: the
   * connection may be to another edge. Throws SfuError `unknown-session`.
   */
  attach(sessionId: string, path: Path, candidates?: readonly Candidate[]): void;
  /**
   * The path is gone for good, and media no longer comes on it either. The session lives on for `sessionGraceMs`, or as
   * long as media flows elsewhere. For attached paths, and for connections that carry only media (ICE-TCP); idempotent.
   */
  detach(path: Path): void;
  /**
   * Any datagram of any path. The bytes are borrowed until the call returns. Never throws: what is not understood or
   * not authenticated is counted and dropped. Control frames are read from attached paths only.
   */
  receive(path: Path, datagram: Uint8Array): void;
  endSession(sessionId: string, reason: EndReason): boolean;
  /** Ends all sessions of the room: another node holds it, and clients that join again come there. Returns how many. */
  leaveRoom(room: string): number;
  /** Those who have joined; `hidden` ones, too. */
  rooms(): readonly RoomSummary[];
  room(name: string): RoomSummary | undefined;
  /** Throws SfuError `unknown-room` or `unknown-participant`. */
  kick(room: string, participantId: string): void;
  mute(room: string, participantId: string, source: Publication['source']): void;
  /** Ends the sessions of all who are in the room. Throws SfuError `unknown-room`. */
  endRoom(room: string): void;
  /**
   * Records the room from now on; one that is recorded already goes on. Rejects with SfuError `unknown-room` or
   * `recording-unavailable`.
   */
  startRecording(room: string, by: 'admin' | 'api' | 'token'): Promise<RecordingSummary>;
  /** False when it was not recorded. Throws SfuError `unknown-room`. */
  stopRecording(room: string, by: 'admin' | 'api'): boolean;
  /** Sessions by the rung that carries their media; `none` before the first nomination. */
  sessionsByRung(): ReadonlyMap<string, number>;
  /** Monotonic counts by name (`rtp_in`, `rtp_out`, `stun_unauthenticated`, …); read at a scrape. */
  readonly counters: Readonly<Record<string, number>>;
  close(): Promise<void>;
}
