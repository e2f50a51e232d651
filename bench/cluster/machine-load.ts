/** How busy the whole machine was between two moments. */
import { cpus } from 'node:os';

export class MachineLoad {
  #before = readings();

  /** 0–100, over all cores, since the last reading. */
  busyPercent(): number {
    const now = readings();
    const total = now.total - this.#before.total;
    const idle = now.idle - this.#before.idle;
    this.#before = now;
    return total === 0 ? 0 : 100 * (1 - idle / total);
  }
}

function readings(): { readonly idle: number; readonly total: number } {
  const times = cpus().map((cpu) => cpu.times);
  const idle = times.reduce((sum, time) => sum + time.idle, 0);
  const total = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0);
  return { idle, total };
}
