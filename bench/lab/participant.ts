/**
 * A Node client in a process of its own, so that it can live in a network namespace: the client under test, or the peer at
 * the other end of the call. It publishes the clip as soon as it has joined.
 */
import { ClientError, ClipSource, join, loadClip } from '../../client/index.ts';
import type { NodeCall, RungAttempt } from '../../client/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { serveCommands } from '../harness/worker-process.ts';

export interface ParticipantOptions {
  readonly url: string;
  readonly room: string;
  readonly name: string;
  readonly timeoutMs: number;
  /** PEM of an authority to trust besides the usual ones; absent: any certificate is taken. */
  readonly ca?: string;
}

/** What a participant knows of its call at this moment. */
export interface ParticipantReport {
  /** Null before the call is joined. */
  readonly rung: Rung | null;
  /** From the call of `join` to the first RTP packet; null before it. */
  readonly joinMs: number | null;
  readonly audioPackets: number;
  readonly videoPackets: number;
  readonly lost: number;
  /** The longest time between two packets of sound since the report before. */
  readonly gapMs: number;
  readonly attempts: readonly RungAttempt[];
}

const clipFiles = ['clip.ivf', 'clip.ogg'].map((name) => new URL(`../../../media/${name}`, import.meta.url).pathname);

let call: NodeCall | null = null;
let source: ClipSource | null = null;
let joinedAt = 0;
let firstPacketAt: number | null = null;
let lastSoundAt: number | null = null;
let longestGapMs = 0;
let triedBeforeTheEnd: RungAttempt[] = [];

serveCommands({
  /** Resolves when media can flow. */
  async join({ url, room, name, timeoutMs, ca }: ParticipantOptions): Promise<void> {
    const clip = await loadClip(clipFiles);
    joinedAt = performance.now();
    firstPacketAt = null;
    lastSoundAt = null;
    longestGapMs = 0;
    triedBeforeTheEnd = [];
    try {
      call = await join(url, {
        room,
        name,
        timeoutMs,
        ...(ca === undefined ? { insecure: true } : { ca }),
        onAttempt: (attempt) => triedBeforeTheEnd.push(attempt),
      });
    } catch (error) {
      throw error instanceof ClientError ? new Error(`${error.code}: ${error.message}`) : error;
    }
    for (const { track } of call.tracks) watch(track);
    call.on('track', ({ track }) => {
      watch(track);
    });
    source = new ClipSource(clip);
    for (const track of source.tracks) await call.publish(track);
    source.start();
  },

  report,

  async leave(): Promise<void> {
    source?.stop();
    await call?.leave();
    call = null;
  },
});

function report(): ParticipantReport {
  const stats = call?.stats();
  const received = (stats?.tracks ?? []).filter(({ direction }) => direction === 'receive');
  const packets = (kind: 'audio' | 'video'): number =>
    received.reduce((sum, track) => sum + (track.kind === kind ? track.packets : 0), 0);
  const gapMs = longestGapMs;
  longestGapMs = 0;
  return {
    rung: call?.rung ?? null,
    joinMs: firstPacketAt === null ? null : firstPacketAt - joinedAt,
    audioPackets: packets('audio'),
    videoPackets: packets('video'),
    lost: stats?.packetsLost ?? 0,
    gapMs,
    attempts: call?.attempts ?? triedBeforeTheEnd,
  };
}

function watch(track: NodeCall['tracks'][number]['track']): void {
  track.onReceiveRtp.subscribe(() => {
    const now = performance.now();
    firstPacketAt ??= now;
    if (track.kind !== 'audio') return;
    if (lastSoundAt !== null) longestGapMs = Math.max(longestGapMs, now - lastSoundAt);
    lastSoundAt = now;
  });
}
