/** CPU time of another process, all of its threads. */
import { readdirSync, readFileSync } from 'node:fs';

/** Microseconds since the process began, from the scheduler's own count: `stat` only knows ticks of 10 ms. */
export function processCpuUs(pid: number): number {
  const folder = `/proc/${String(pid)}/task`;
  let nanoseconds = 0;
  for (const task of readdirSync(folder)) {
    nanoseconds += Number(readFileSync(`${folder}/${task}/schedstat`, 'utf8').split(' ')[0]);
  }
  return nanoseconds / 1000;
}
