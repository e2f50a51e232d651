/** CPU time of this process between two moments. */

export interface CpuReading {
  /** User and system CPU time in microseconds. */
  readonly cpuUs: number;
  readonly wallMs: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
}

/** Starts a measurement; the returned function ends it. */
export function startCpuMeter(): () => CpuReading {
  const cpu = process.cpuUsage();
  const start = performance.now();
  return () => {
    const used = process.cpuUsage(cpu);
    const memory = process.memoryUsage();
    return {
      cpuUs: used.user + used.system,
      wallMs: performance.now() - start,
      rssBytes: memory.rss,
      heapBytes: memory.heapUsed,
    };
  };
}
