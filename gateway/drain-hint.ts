/** What tells a client that its edge goes away, and which other one takes it. */
import { encodeControlFrame, lane, type Path, type SendMeta } from '../tunnel-protocol/index.ts';

const controlMeta: SendMeta = { lane: lane.control, frameId: 0, keyFrame: false, discardable: false, deadlineMs: 0 };

/** Each path is sent to one of the edges in turn, at a moment within `spreadMs`, which its client chooses. */
export function hintDrain(paths: Iterable<Path>, edges: readonly string[], spreadMs: number): void {
  let next = 0;
  for (const path of paths) {
    const where = edges[next++ % Math.max(1, edges.length)] ?? '';
    path.send(encodeControlFrame({ type: 'drain', retryAfterMs: 0, spreadMs, where }), controlMeta);
  }
}
