/** The SFU of this process as an upstream: nothing stands between. */
import {
  SfuError,
  type Candidate,
  type RecordingSummary,
  type RoomSummary,
  type SessionRequest,
  type Sfu,
  type WhipPatched,
  type WhipRole,
} from '../../sfu/index.ts';
import { closeCodes, type Path, type Source } from '../../tunnel-protocol/index.ts';
import type { ResumeClaims } from '../auth.ts';
import type { OpenedSession, OpenedWhip, Upstream } from './upstream.ts';

export class EmbeddedUpstream implements Upstream {
  readonly #sfu: Sfu;
  readonly #node: string;
  readonly #candidates: readonly Candidate[];

  constructor(sfu: Sfu, node: string, candidates: readonly Candidate[] = []) {
    this.#sfu = sfu;
    this.#node = node;
    this.#candidates = candidates;
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#sfu.counters;
  }

  // Promises, because a trunk has to wait for its answers.
  // eslint-disable-next-line @typescript-eslint/require-await
  async openSession(request: SessionRequest): Promise<OpenedSession> {
    const { epoch } = this.#sfu.openSession(request);
    return { node: this.#node, epoch };
  }

  // eslint-disable-next-line @typescript-eslint/require-await
  async openWhip(request: SessionRequest, role: WhipRole, offer: string): Promise<OpenedWhip> {
    const opened = this.#sfu.openWhip(request, role, offer);
    return 'refused' in opened ? opened : { node: this.#node, ...opened };
  }

  // eslint-disable-next-line @typescript-eslint/require-await
  async patchWhip(
    { session }: ResumeClaims,
    fragment: string,
    iceTags: readonly string[] | null,
  ): Promise<WhipPatched> {
    return this.#sfu.patchWhip(session, fragment, iceTags);
  }

  endSession({ session }: ResumeClaims): Promise<boolean> {
    return Promise.resolve(this.#sfu.endSession(session, 'left'));
  }

  mayAttach({ node, session }: ResumeClaims): 'yes' | 'unknown' {
    return node === this.#node && this.#sfu.hasSession(session) ? 'yes' : 'unknown';
  }

  attach({ session }: ResumeClaims, path: Path): void {
    try {
      this.#sfu.attach(session, path);
    } catch (error) {
      if (!(error instanceof SfuError)) throw error;
      // It ended since its token was read.
      path.close(closeCodes['unknown-session'].wire, 'unknown-session');
    }
  }

  detach(path: Path): void {
    this.#sfu.detach(path);
  }

  receive(path: Path, datagram: Uint8Array): void {
    this.#sfu.receive(path, datagram);
  }

  sessionLives(sessionId: string): boolean {
    return this.#sfu.hasSession(sessionId);
  }

  rooms(): Promise<readonly RoomSummary[]> {
    return Promise.resolve(this.#sfu.rooms());
  }

  room(name: string): Promise<RoomSummary | undefined> {
    return Promise.resolve(this.#sfu.room(name));
  }

  // eslint-disable-next-line @typescript-eslint/require-await
  async kick(room: string, participantId: string): Promise<void> {
    this.#sfu.kick(room, participantId);
  }

  // eslint-disable-next-line @typescript-eslint/require-await
  async mute(room: string, participantId: string, source: Source): Promise<void> {
    this.#sfu.mute(room, participantId, source);
  }

  startRecording(room: string): Promise<RecordingSummary> {
    return this.#sfu.startRecording(room, 'api');
  }

  // eslint-disable-next-line @typescript-eslint/require-await
  async stopRecording(room: string): Promise<boolean> {
    return this.#sfu.stopRecording(room, 'api');
  }

  sessionsByRung(): ReadonlyMap<string, number> {
    return this.#sfu.sessionsByRung();
  }

  sfuAddresses(): readonly Candidate[] {
    return this.#candidates;
  }

  close(): Promise<void> {
    return this.#sfu.close();
  }
}
