/** The clients of the bench, over several processes, as one. */
import { startWorker, type WorkerProcess } from '../harness/worker-process.ts';
import type { JoinOrder, LoadReport } from './load.ts';

export interface CrowdOptions {
  readonly clients: number;
  readonly rung: JoinOrder['rung'];
  readonly packetMs: number;
}

const clientsPerRoom = 4;
/** Whole rooms: who speaks and who listens are in one process. */
const clientsPerWorker = 13 * clientsPerRoom;
const joinTimeoutMs = 600_000;
const patienceMs = 60_000;

export class Crowd {
  readonly #options: CrowdOptions;
  readonly #workers: readonly WorkerProcess[];

  constructor(options: CrowdOptions) {
    this.#options = options;
    this.#workers = Array.from({ length: Math.ceil(options.clients / clientsPerWorker) }, () =>
      startWorker(new URL('./load.js', import.meta.url)),
    );
  }

  /** Each joins by the next of the edges, so that every room is at all of them. */
  async join(urls: readonly string[]): Promise<void> {
    const { clients, rung, packetMs } = this.#options;
    await Promise.all(
      this.#workers.map((worker, w) => {
        const first = w * clientsPerWorker;
        const rooms = Array.from(
          { length: Math.min(clientsPerWorker, clients - first) },
          (_, i) => `room-${String(Math.floor((first + i) / clientsPerRoom))}`,
        );
        const order: JoinOrder = { urls, rooms, rung, packetMs };
        return worker.call('join', order, joinTimeoutMs);
      }),
    );
  }

  async begin(): Promise<void> {
    await this.#all('begin');
  }

  async report(): Promise<LoadReport> {
    const reports = (await this.#all('report')) as LoadReport[];
    const sum = (of: (report: LoadReport) => number): number => reports.reduce((total, one) => total + of(one), 0);
    return {
      clients: sum(({ clients }) => clients),
      open: sum(({ open }) => open),
      away: sum(({ away }) => away),
      outages: reports.flatMap(({ outages }) => outages),
      gapsMs: reports.flatMap(({ gapsMs }) => gapsMs),
      sent: sum(({ sent }) => sent),
      answered: sum(({ answered }) => answered),
      refused: sum(({ refused }) => refused),
      outOfOrder: sum(({ outOfOrder }) => outOfOrder),
      unheard: sum(({ unheard }) => unheard),
      ended: reports.flatMap(({ ended }) => ended),
    };
  }

  /** When everybody is back and all that was said has arrived, or has had the time for it. Nobody speaks then. */
  async settled(): Promise<LoadReport> {
    const deadline = performance.now() + patienceMs;
    const isOver = (): boolean => performance.now() > deadline;
    while ((await this.report()).away > 0 && !isOver()) await pause(100);
    await this.#all('hush');
    for (;;) {
      const report = await this.report();
      const { away, sent, answered, refused, unheard } = report;
      if ((away === 0 && sent === answered + refused && unheard === 0) || isOver()) return report;
      await pause(100);
    }
  }

  async leave(): Promise<void> {
    await this.#all('leave');
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  #all(command: string): Promise<unknown[]> {
    return Promise.all(this.#workers.map((worker) => worker.call(command)));
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
