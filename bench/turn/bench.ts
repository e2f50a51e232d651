/**
 * What a relayed packet costs in CPU time of the server, side by side with coturn: 40 clients, over UDP, TCP and TLS, a
 * packet every 5 ms each, or 8 at once every 40 ms. Then the short cut: the SFU in our process, against coturn and the
 * same process, which gets the same packets on its UDP port. The servers take turns, a second each.
 */
import type { BenchOptions } from '../benches.ts';
import { against, figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker } from '../harness/worker-process.ts';
import { coturnMissing, startCoturn } from './coturn.ts';
import { loadTransports, type LoadCredentials, type LoadTarget, type LoadTransport } from './load-client.ts';
import { measureLoss } from './loss.ts';
import { relayedPacketUs } from './relayed-packet.ts';
import type { TurnServerPorts } from './server.ts';

const host = '127.0.0.1';
const clients = 40;
const bursts = [1, 8];
const sizes = [172, 1000];
const settleMs = 300;

export async function benchTurn({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const missing = coturnMissing();
  if (missing !== null) throw new Error(`${missing} (Debian: coturn, openssl, util-linux)`);
  const server = startWorker(new URL('./server.js', import.meta.url), 0);
  const load = startWorker(new URL('./load.js', import.meta.url), 1);
  const closers: (() => Promise<void>)[] = [];
  try {
    const coturn = await startCoturn(0);
    closers.push(() => coturn.close());
    const peerPort = (await load.call('startPeer')) as number;
    const relayAllow = [`${host}:${String(peerPort)}`];
    const ours = (await server.call('start', { relayAllow })) as TurnServerPorts;
    const figures: Figure[] = [];
    for (const way of ['relay', 'short-cut'] as const) {
      for (const transport of loadTransports) {
        for (const bytes of sizes) figures.push(...(await measure(way, transport, bytes)));
      }
    }
    await load.call('stopPeer');
    await server.call('stop');
    return [...figures, ...(await measureLoss(progress))];

    /** One pair of figures per shape of load. */
    async function measure(way: 'relay' | 'short-cut', transport: LoadTransport, bytes: number): Promise<Figure[]> {
      const peer = { address: host, port: way === 'relay' ? peerPort : ours.media };
      const common = { transport, host, peer };
      const credentials = (await server.call('credentials', 'bench')) as LoadCredentials;
      const theirs = { ...common, port: transport === 'tls' ? coturn.tlsPort : coturn.port };
      await connect('ours', {
        ...common,
        port: transport === 'udp' ? ours.udp : ours.tcp,
        credentials,
      });
      await connect('coturn', { ...theirs, credentials: coturn.credentials });
      const id = `turn.${way === 'relay' ? '' : 'short-cut.'}${transport}.${String(bytes)}`;
      const both = way === 'relay' ? [coturn.pid] : [coturn.pid, server.pid];
      const measured: Figure[] = [];
      for (const burst of bursts) {
        const cost = { ours: [] as number[], coturn: [] as number[] };
        for (let run = 0; run <= runs; run++) {
          progress(
            `${id}, bursts of ${String(burst)}, ${run === 0 ? 'warm-up' : `run ${String(run)} of ${String(runs)}`}`,
          );
          const mine = await relayedPacketUs(load, { name: 'ours', pids: [server.pid], bytes, burst }, progress);
          const their = await relayedPacketUs(load, { name: 'coturn', pids: both, bytes, burst }, progress);
          if (run === 0) continue;
          cost.ours.push(mine);
          cost.coturn.push(their);
        }
        const name = way === 'relay' ? coturn.version : `${coturn.version} and the SFU's UDP port`;
        const whole = `${id}.${burst === 1 ? '' : `burst${String(burst)}.`}cpu_us`;
        const mine = figure(whole, 'µs per relayed packet', summarize(cost.ours));
        // Neighbours in time are compared, because what else the machine does changes from one to the next.
        const ratios = cost.ours.map((value, run) => value / (cost.coturn[run] ?? NaN));
        const ratio = Number(summarize(ratios).median.toPrecision(3));
        const compared = { ...against(mine, name, summarize(cost.coturn)), ratio };
        measured.push(compared);
        progress(`${whole}: ${String(mine.value)} µs, ${String(ratio)} of ${name}`);
      }
      await load.call('disconnect', 'ours');
      await load.call('disconnect', 'coturn');
      return measured;
    }
  } finally {
    for (const close of closers) await close();
    await Promise.all([load.stop(), server.stop()]);
  }

  async function connect(name: string, target: LoadTarget): Promise<void> {
    await load.call('connect', { name, target, clients });
    await load.call('introduce', name);
    await new Promise((resolve) => setTimeout(resolve, settleMs));
  }
}
