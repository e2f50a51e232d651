/**
 * What a datagram costs the gateway on the websocket rung, both ways, without the SFU: CPU time of the edge's process per
 * datagram, with 50 sessions over TLS and 8 datagrams to a message, and the bytes that framing and credits add.
 */
import type { BenchOptions } from '../benches.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker, type WorkerProcess } from '../harness/worker-process.ts';
import type { TunnelLoadReading } from './load.ts';
import type { TunnelServerReading } from './server.ts';

const sessions = 50;
const datagramsPerMessage = 8;
/** 80 000 datagrams a second: the edge has enough to do that a wake-up serves several sessions. */
const busyIntervalMs = 5;
/** As media is paced: every message wakes an edge up that has nothing else to do. */
const pacedIntervalMs = 20;
const durationMs = 4000;
const sizes = [100, 1200];
const soakMs = 60_000;
const soakBytes = 1200;

interface Load {
  readonly bytes: number;
  readonly intervalMs: number;
}

export async function benchTunnel({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const server = startWorker(new URL('./server.js', import.meta.url), 0);
  const load = startWorker(new URL('./load.js', import.meta.url), 1);
  const pair = new TunnelPair(server, load);
  try {
    const url = await server.call('start');
    const figures: Figure[] = [];
    for (const credits of [false, true]) {
      progress(`opening ${String(sessions)} sessions ${credits ? 'with' : 'without'} credits`);
      await load.call('connect', { url, sessions, credits });
      for (const bytes of sizes) {
        const id = `tunnel.websocket.${String(bytes)}${credits ? '' : '.uncredited'}`;
        for (const [suffix, intervalMs] of credits
          ? ([
              ['', busyIntervalMs],
              ['paced_', pacedIntervalMs],
            ] as const)
          : ([['', busyIntervalMs]] as const)) {
          progress(`${id} every ${String(intervalMs)} ms`);
          figures.push(...(await pair.measure(id, suffix, { bytes, intervalMs }, runs)));
        }
      }
      if (credits) {
        progress(`heap over ${String(soakMs / 1000)} s`);
        figures.push(await pair.measureHeap());
      }
      await load.call('close');
    }
    await server.call('stop');
    return figures;
  } finally {
    await Promise.all([load.stop(), server.stop()]);
  }
}

class TunnelPair {
  readonly #server: WorkerProcess;
  readonly #load: WorkerProcess;

  constructor(server: WorkerProcess, load: WorkerProcess) {
    this.#server = server;
    this.#load = load;
  }

  async measure(id: string, suffix: string, load: Load, runs: number): Promise<Figure[]> {
    const up: number[] = [];
    const down: number[] = [];
    const overhead: number[] = [];
    for (let run = 0; run <= runs; run++) {
      const received = await this.#up(load);
      const sent = await this.#down(load);
      if (run === 0) continue;
      up.push(received);
      down.push(sent.cpuUs);
      overhead.push(sent.overheadBytes);
    }
    const figures = [
      figure(`${id}.${suffix}cpu_us`, 'µs per datagram received', summarize(up)),
      figure(`${id}.${suffix}send_cpu_us`, 'µs per datagram sent', summarize(down)),
    ];
    if (suffix === '') {
      figures.push(figure(`${id}.framing_bytes`, 'bytes per datagram inside the message', summarize(overhead)));
    }
    return figures;
  }

  /** What is left over of a minute of traffic both ways. */
  async measureHeap(): Promise<Figure> {
    const traffic = { bytes: soakBytes, count: datagramsPerMessage, intervalMs: pacedIntervalMs };
    const both = async (ms: number): Promise<void> => {
      await this.#server.call('startSending', traffic);
      await this.#load.call('send', { ...traffic, durationMs: ms }, ms * 2);
      await this.#server.call('stopSending');
    };
    await both(durationMs);
    const before = (await this.#server.call('heap')) as number;
    await both(soakMs);
    const after = (await this.#server.call('heap')) as number;
    return figure('tunnel.websocket.heap_growth_kib', 'KiB more after 60 s', summarize([(after - before) / 1024]));
  }

  async #up({ bytes, intervalMs }: Load): Promise<number> {
    await this.#server.call('begin');
    const order = { bytes, count: datagramsPerMessage, intervalMs, durationMs };
    const sent = (await this.#load.call('send', order)) as number;
    // What the sockets still hold arrives within one more call to the server.
    await this.#server.call('tunnels');
    const reading = (await this.#server.call('end')) as TunnelServerReading;
    if (reading.received < sent * 0.99) throw new Error(`only ${String(reading.received)} of ${String(sent)} arrived`);
    return reading.cpuUs / reading.received;
  }

  async #down({ bytes, intervalMs }: Load): Promise<{ cpuUs: number; overheadBytes: number }> {
    await this.#load.call('reset');
    await this.#server.call('begin');
    await this.#server.call('startSending', { bytes, count: datagramsPerMessage, intervalMs });
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    await this.#server.call('stopSending');
    const reading = (await this.#server.call('end')) as TunnelServerReading;
    const { receivedBytes, receivedDatagrams } = (await this.#load.call('received')) as TunnelLoadReading;
    return { cpuUs: reading.cpuUs / reading.sent, overheadBytes: receivedBytes / receivedDatagrams - bytes };
  }
}
