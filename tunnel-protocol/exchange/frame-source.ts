/** Where a carrier takes what it sends, at the moment it can send it: so that nothing grows stale inside a carrier. */
export interface FrameSource {
  /** Whether `take` may give something. False after it gave nothing although there was room for any frame. */
  readonly waiting: boolean;
  /** The next frame of up to `room` bytes, given away; null when there is none, or it is longer. */
  take(room: number, now: number): Uint8Array | null;
}
