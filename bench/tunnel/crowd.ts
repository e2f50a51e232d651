/** The edge under test and its clients, which are spread over processes. */
import type { WorkerProcess } from '../harness/worker-process.ts';
import type { TunnelLoadOrder, TunnelLoadReading } from './load.ts';
import type { TunnelServerReading } from './server.ts';

export interface TunnelShape {
  readonly bytes: number;
  /** Datagrams of a message. */
  readonly count: number;
  readonly intervalMs: number;
}

/** Without another datagram, after which no more will come. */
const settleMs = 100;

export class Crowd {
  readonly #server: WorkerProcess;
  readonly #loads: readonly WorkerProcess[];

  constructor(server: WorkerProcess, loads: readonly WorkerProcess[]) {
    this.#server = server;
    this.#loads = loads;
  }

  async connect(sessions: number): Promise<void> {
    const url = await this.#server.call('start');
    const share = sessions / this.#loads.length;
    for (const load of this.#loads) await load.call('connect', { url, sessions: share, credits: true });
  }

  /** CPU µs of the edge per datagram that the clients sent. */
  async up(shape: TunnelShape, ms: number): Promise<number> {
    await this.#server.call('begin');
    const sent = await this.#send(shape, ms);
    // What the sockets still hold arrives within one more call to the server.
    await this.#server.call('tunnels');
    const reading = (await this.#server.call('end')) as TunnelServerReading;
    if (reading.received < sent * 0.99) throw new Error(`only ${String(reading.received)} of ${String(sent)} arrived`);
    return reading.cpuUs / reading.received;
  }

  async down(shape: TunnelShape, ms: number): Promise<{ cpuUs: number; overheadBytes: number }> {
    for (const load of this.#loads) await load.call('reset');
    await this.#server.call('begin');
    await this.#server.call('startSending', shape);
    await pause(ms);
    await this.#server.call('stopSending');
    const { bytes, datagrams } = await this.#settled();
    const reading = (await this.#server.call('end')) as TunnelServerReading;
    // By what has arrived: what the queue dropped because a client was slow has cost less.
    return { cpuUs: reading.cpuUs / datagrams, overheadBytes: bytes / datagrams - shape.bytes };
  }

  /** What the clients have got, once nothing more comes. */
  async #settled(): Promise<{ bytes: number; datagrams: number }> {
    for (let before = -1; ;) {
      const readings = (await Promise.all(this.#loads.map((load) => load.call('received')))) as TunnelLoadReading[];
      const datagrams = readings.reduce((total, each) => total + each.receivedDatagrams, 0);
      const bytes = readings.reduce((total, each) => total + each.receivedBytes, 0);
      if (datagrams === before) return { bytes, datagrams };
      before = datagrams;
      await pause(settleMs);
    }
  }

  async both(shape: TunnelShape, ms: number): Promise<void> {
    await this.#server.call('startSending', shape);
    await this.#send(shape, ms);
    await this.#server.call('stopSending');
  }

  async close(): Promise<void> {
    for (const load of this.#loads) await load.call('close');
    await this.#server.call('stop');
  }

  async #send(shape: TunnelShape, ms: number): Promise<number> {
    const order: TunnelLoadOrder = { ...shape, durationMs: ms };
    const sent = await Promise.all(this.#loads.map((load) => load.call('send', order, ms * 2 + 30_000)));
    return (sent as number[]).reduce((total, each) => total + each, 0);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
