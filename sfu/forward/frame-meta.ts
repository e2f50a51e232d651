import { lane } from '../../tunnel-protocol/index.ts';
import type { SendMeta } from '../../tunnel-protocol/index.ts';
import type { SlotStream } from './slot-stream.ts';

/** What a path is told of a video frame, and whose it was when the path reports it dropped. */
export class FrameMeta implements SendMeta {
  readonly lane = lane.video;
  readonly slot: SlotStream;
  readonly frameId: number;
  readonly keyFrame: boolean;
  readonly discardable: boolean;
  readonly deadlineMs: number;

  constructor(slot: SlotStream, frameId: number, keyFrame: boolean, discardable: boolean, deadlineMs: number) {
    this.slot = slot;
    this.frameId = frameId;
    this.keyFrame = keyFrame;
    this.discardable = discardable;
    this.deadlineMs = deadlineMs;
  }
}
