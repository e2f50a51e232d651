/** What the lab asks of either kind of client. */
import type { Rung } from '../../tunnel-protocol/index.ts';
import type { RungAttempt } from '../../client/index.ts';

export interface ClientUnderTest {
  /** Starts to join; resolves when the client says that it is in the call, rejects with what it says instead. */
  join(room: string, timeoutMs: number): Promise<void>;
  /** At any time, after a failed join as well. */
  report(): Promise<ClientReport>;
  /** Leaves the call. The client can join another room afterwards. */
  leave(): Promise<void>;
}

export interface ClientReport {
  /** The rung that carries media now; null without any. */
  readonly rung: Rung | null;
  /** From the call of `join` to the first decoded frame (Chromium) or the first RTP packet (Node); null before it. */
  readonly joinMs: number | null;
  /** What came from the peer so far: video frames decoded (Chromium) or video packets (Node), and audio packets. */
  readonly video: number;
  readonly audio: number;
  /** RTP packets received, and those that should have been. */
  readonly packets: number;
  readonly lost: number;
  /** The longest time without a packet of sound since the report before, seen at its end; to some 100 ms. */
  readonly gapMs: number;
  readonly attempts: readonly RungAttempt[];
}
