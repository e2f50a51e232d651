/** Time as a DTLS session sees it: injected, so that a virtual clock can drive it. */
export interface DtlsClock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls `fire` once after `ms`. Must not keep a process alive. */
  setTimer(fire: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
}
