/**
 * What a datagram costs the gateway on the websocket rung, both ways, without the SFU: CPU time of the edge's process
 * per datagram, with 50 sessions over TLS and 8 datagrams to a message, and the bytes that framing adds.
 */
import type { BenchOptions } from '../benches.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker } from '../harness/worker-process.ts';
import type { TunnelLoadReading } from './load.ts';
import type { TunnelServerReading } from './server.ts';

const sessions = 50;
const datagramsPerMessage = 8;
const intervalMs = 20;
const durationMs = 4000;
const sizes = [100, 1200];

export async function benchTunnel({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const server = startWorker(new URL('./server.js', import.meta.url), 0);
  const load = startWorker(new URL('./load.js', import.meta.url), 1);
  try {
    const url = await server.call('start');
    progress(`opening ${String(sessions)} sessions`);
    await load.call('connect', { url, sessions });
    const figures: Figure[] = [];
    for (const bytes of sizes) {
      const up: number[] = [];
      const down: number[] = [];
      const overhead: number[] = [];
      for (let run = 0; run <= runs; run++) {
        progress(`${String(bytes)} B, ${run === 0 ? 'warm-up' : `run ${String(run)} of ${String(runs)}`}`);
        const received = await measureUp(bytes);
        const sent = await measureDown(bytes);
        if (run === 0) continue;
        up.push(received);
        down.push(sent.cpuUs);
        overhead.push(sent.overheadBytes);
      }
      const id = `tunnel.websocket.${String(bytes)}`;
      figures.push(figure(`${id}.cpu_us`, 'µs per datagram received', summarize(up)));
      figures.push(figure(`${id}.send_cpu_us`, 'µs per datagram sent', summarize(down)));
      figures.push(figure(`${id}.framing_bytes`, 'bytes per datagram inside the message', summarize(overhead)));
    }
    await load.call('close');
    await server.call('stop');
    return figures;
  } finally {
    await Promise.all([load.stop(), server.stop()]);
  }

  async function measureUp(bytes: number): Promise<number> {
    await server.call('begin');
    const sent = (await load.call('send', { bytes, count: datagramsPerMessage, intervalMs, durationMs })) as number;
    // What the sockets still hold arrives within one more call to the server.
    await server.call('tunnels');
    const reading = (await server.call('end')) as TunnelServerReading;
    if (reading.received < sent * 0.99) throw new Error(`only ${String(reading.received)} of ${String(sent)} arrived`);
    return reading.cpuUs / reading.received;
  }

  async function measureDown(bytes: number): Promise<{ cpuUs: number; overheadBytes: number }> {
    await load.call('reset');
    await server.call('begin');
    await server.call('startSending', { bytes, count: datagramsPerMessage, intervalMs });
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    await server.call('stopSending');
    const reading = (await server.call('end')) as TunnelServerReading;
    const { receivedBytes, receivedDatagrams } = (await load.call('received')) as TunnelLoadReading;
    return {
      cpuUs: reading.cpuUs / reading.sent,
      overheadBytes: receivedBytes / receivedDatagrams - bytes,
    };
  }
}
