import type { DtlsClock } from '../../tunnel-protocol/index.ts';

/** Real time; its timers do not keep the process alive. */
export const systemClock: DtlsClock = {
  now: () => performance.now(),
  setTimer: (fire, ms) => setTimeout(fire, ms).unref(),
  clearTimer: (timer) => {
    clearTimeout(timer as NodeJS.Timeout);
  },
};
