/**
 * The SFUs behind an edge, as its listeners and its API see them: the one of this process, one at the end of a trunk, or as
 * many as the directory knows. What concerns a path is done at once; what is asked may take a round trip.
 */
import type {
  Candidate,
  RecordingSummary,
  RoomSummary,
  RungMove,
  SessionRequest,
  WhipOpened,
  WhipPatched,
  WhipRefusal,
  WhipRole,
} from '../../sfu/index.ts';
import type { Path, QosEvent, Source } from '../../tunnel-protocol/index.ts';
import type { ResumeClaims } from '../auth.ts';

export interface UpstreamEvents {
  /** For metrics. */
  rungMoved(move: RungMove, sessionId: string): void;
  /** A client of an embedded SFU told how its call went. */
  telemetry?(event: QosEvent): void;
  /** For what else was given to the session. */
  sessionEnded(sessionId: string): void;
  /** The control channel of the session is on this path of this edge; of two words on a session the higher `take` holds. */
  taken(sessionId: string, node: string, take: number): void;
  /** It is on another edge now. */
  left(sessionId: string): void;
}

/** No SFU can be asked just now; the client should try again after so many seconds. */
export class UpstreamUnavailable extends Error {
  override readonly name = 'UpstreamUnavailable';
  readonly retryAfterSeconds: number;

  constructor(message: string, retryAfterSeconds = 2) {
    super(message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The session may not reach the SFU that its token names; the message says what to do. */
export class UpstreamNotAllowed extends Error {
  override readonly name = 'UpstreamNotAllowed';
}

/** What a session is opened with, besides what any SFU wants to know. */
export interface UpstreamRequest extends SessionRequest {
  /** The SFUs of others that its token names, where it names any. */
  readonly upstream?: readonly string[];
}

export interface OpenedSession {
  /** Which holds the session from now on. */
  readonly node: string;
  readonly epoch: number;
}

export type OpenedWhip = (OpenedSession & WhipOpened) | WhipRefusal;

/** What is asked rejects with SfuError, {@link UpstreamUnavailable} or {@link UpstreamNotAllowed}. */
export interface Upstream {
  openSession(request: UpstreamRequest): Promise<OpenedSession>;
  /** Absent where sessions are relayed to SFUs of others, as what follows. */
  openWhip?(request: SessionRequest, role: WhipRole, offer: string): Promise<OpenedWhip>;
  /** As of the SFU; `iceTags` null: any. */
  patchWhip?(claims: ResumeClaims, fragment: string, iceTags: readonly string[] | null): Promise<WhipPatched>;
  /** The client left. False: it has ended already, or was never there. */
  endSession(claims: ResumeClaims): Promise<boolean>;
  /**
   * Whether a connection of this session may be tried here: `unknown` is final, `unavailable` may pass.
   */
  mayAttach(claims: ResumeClaims): 'yes' | 'unknown' | 'unavailable';
  /** As of the SFU; where the session turns out to be unknown, the path is closed with `unknown-session`. */
  attach(claims: ResumeClaims, path: Path): void;
  detach(path: Path): void;
  receive(path: Path, datagram: Uint8Array): void;
  /** The SFUs of others that the session is bound to, for TURN's policy; null or absent: no such bounds. */
  peersOf?(sessionId: string): readonly string[] | null;
  /** As far as it is known here; true where it cannot be told. */
  sessionLives(sessionId: string): boolean;
  rooms(): Promise<readonly RoomSummary[]>;
  room(name: string): Promise<RoomSummary | undefined>;
  kick(room: string, participantId: string): Promise<void>;
  mute(room: string, participantId: string, source: Source): Promise<void>;
  startRecording(room: string): Promise<RecordingSummary>;
  /** False when it was not recorded. */
  stopRecording(room: string): Promise<boolean>;
  /** Of the sessions that came by this edge. */
  sessionsByRung(): ReadonlyMap<string, number>;
  /** Of the SFU in this process; empty where there is none. */
  readonly counters: Readonly<Record<string, number>>;
  /** Where clients may be told to find an SFU by UDP, for TURN's policy: this edge's own addresses, or a node's. */
  sfuAddresses(): readonly Candidate[];
  close(): Promise<void>;
}
