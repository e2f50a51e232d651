/** Time, injected: tests drive it by hand. */
export interface ClientClock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls `fire` once after `ms`. */
  setTimer(fire: () => void, ms: number): unknown;
  clearTimer(timer: unknown): void;
}

export const systemClock: ClientClock = {
  now: () => performance.now(),
  setTimer: (fire, ms) => setTimeout(fire, ms),
  clearTimer: (timer) => {
    clearTimeout(timer as ReturnType<typeof setTimeout>);
  },
};
