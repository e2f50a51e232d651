/** What end-to-end tests with Node clients have in common. */
import type { Test } from 'tap';
import { ClipSource, join, loadClip } from '../../client/index.ts';
import type { CallStats, NodeCall, NodeJoinOptions } from '../../client/index.ts';
import { startEdge } from './edge.ts';
import type { TestEdge } from './edge.ts';

/** Below the 180 s that a test file may take; machines that do other work besides need more than tap's usual 30. */
export const testTimeoutMs = 110_000;

type Track = NodeCall['tracks'][number]['track'];

export const clipFiles = ['clip.ivf', 'clip.ogg'].map(
  (name) => new URL(`../../../media/${name}`, import.meta.url).pathname,
);

/** Joins a test edge, whose certificate is self-signed. */
export function joinInsecurely(url: string, options: NodeJoinOptions): Promise<NodeCall> {
  return join(url, { insecure: true, ...options });
}

export interface EdgeForTest {
  readonly edge: TestEdge;
  /** Joins; the call is left at the end of the test. */
  readonly joined: (url: string, options: NodeJoinOptions) => Promise<NodeCall>;
  /** Runs at the end, the last one first. */
  readonly cleanUp: (undo: () => void | Promise<void>) => void;
}

/** An edge for one test. At the end, what began last ends first; then the edge stops. An error that it logged fails the test. */
export async function withEdge(
  t: Test,
  environment: Readonly<Record<string, string>> = {},
  options: { readonly turn?: boolean } = {},
): Promise<EdgeForTest> {
  const edge = await startEdge({ environment, ...options });
  t.teardown(async () => {
    await edge.close();
    if (edge.errors.length > 0) throw new Error('the edge logged errors', { cause: edge.errors });
  });
  return {
    edge,
    joined: async (url, options) => {
      const call = await joinInsecurely(url, options);
      t.teardown(() => call.leave());
      return call;
    },
    cleanUp: (undo) => {
      t.teardown(undo);
    },
  };
}

/** Publishes the clip, playing. Stop it before the call is left. */
export async function publishClip(call: NodeCall): Promise<ClipSource> {
  const source = new ClipSource(await loadClip(clipFiles));
  for (const track of source.tracks) await call.publish(track);
  source.start();
  return source;
}

/** The track of a slot, at once or when somebody is first shown on it. */
export function trackOf(call: NodeCall, mid: string): Promise<Track> {
  const known = call.tracks.find((event) => event.mid === mid);
  if (known !== undefined) return Promise.resolve(known.track);
  return new Promise((resolve) => {
    const off = call.on('track', (event) => {
      if (event.mid !== mid) return;
      off();
      resolve(event.track);
    });
  });
}

/** Resolves when the figures, which come each second, satisfy the condition. */
export function statsUntil(call: NodeCall, condition: (stats: CallStats) => boolean): Promise<CallStats> {
  return new Promise((resolve) => {
    const off = call.on('stats', (stats) => {
      if (!condition(stats)) return;
      off();
      resolve(stats);
    });
  });
}

/** Resolves after so many more packets of the track. */
export function packetsOf(track: Track, count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    const { unSubscribe } = track.onReceiveRtp.subscribe(() => {
      left -= 1;
      if (left > 0) return;
      unSubscribe();
      resolve();
    });
  });
}

/**
 * The longest time between two packets of a track, in ms. Time in which this whole process stood still (a busy machine)
 * does not count: no packet could have been seen then.
 */
export class GapMeter {
  readonly #unsubscribe: () => void;
  readonly #timer: NodeJS.Timeout;
  #lastPacket: number | null = null;
  #stalledSince = 0;
  #lastTick = performance.now();
  #longest = 0;

  constructor(track: Track) {
    const { unSubscribe } = track.onReceiveRtp.subscribe(() => {
      this.#packet(performance.now());
    });
    this.#unsubscribe = unSubscribe;
    this.#timer = setInterval(() => {
      this.#tick();
    }, tickMs);
  }

  get longestMs(): number {
    return this.#longest;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#unsubscribe();
  }

  #tick(): void {
    const now = performance.now();
    this.#stalledSince += Math.max(0, now - this.#lastTick - 2 * tickMs);
    this.#lastTick = now;
  }

  #packet(now: number): void {
    // A stall that this packet ended has not been noticed by the timer yet.
    this.#tick();
    if (this.#lastPacket !== null) this.#longest = Math.max(this.#longest, now - this.#lastPacket - this.#stalledSince);
    this.#lastPacket = now;
    this.#stalledSince = 0;
  }
}

const tickMs = 10;

/** Until what this call hears of the others fits. A room tells of many changes together: to hear of each, wait for each. */
export async function heard(call: NodeCall, fits: () => boolean): Promise<void> {
  while (!fits()) {
    await new Promise((resolve) => {
      call.once('participant-updated', resolve);
    });
  }
}
