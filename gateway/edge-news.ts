/** Keeps clients told of the other edges that can serve their sessions: those that came after they had joined, too. */
import { encodeControlFrame, lane, type Path, type SendMeta } from '../tunnel-protocol/index.ts';

const controlMeta: SendMeta = { lane: lane.control, frameId: 0, keyFrame: false, discardable: false, deadlineMs: 0 };
/** A client may have missed what came while it went over from one connection to another. */
const repeatMs = 60_000;
/** What a client keeps, and a frame holds. */
const maxEdges = 16;

interface Told {
  readonly list: string;
  readonly at: number;
}

export class EdgeNews {
  readonly #otherEdges: () => readonly string[];
  readonly #told = new WeakMap<Path, Told>();

  /** `otherEdges`: `https://host:port` of each. */
  constructor(otherEdges: () => readonly string[]) {
    this.#otherEdges = otherEdges;
  }

  /** To be called every few seconds with the paths of all tunnels. `now` is monotonic milliseconds. */
  tell(paths: Iterable<Path>, now: number): void {
    const edges = this.#otherEdges().slice(0, maxEdges);
    const list = edges.join('\n');
    const frame = encodeControlFrame({ type: 'edges', edges });
    for (const path of paths) {
      const told = this.#told.get(path);
      if (told?.list === list && now - told.at < repeatMs) continue;
      // In the answer that made the session stood the same, most likely.
      this.#told.set(path, { list, at: now });
      path.send(frame, controlMeta);
    }
  }
}
