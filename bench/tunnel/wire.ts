/**
 * What an audio packet of 100 bytes costs on the wire by each rung, one every 20 ms: all bytes that a loopback interface
 * of its own has seen while the packets went one way, with IP headers, acknowledgements and requests, of both directions.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { BenchOptions } from '../benches.ts';
import { against, figure, type Figure } from '../harness/result-file.ts';
import { summarize, type Summary } from '../harness/statistics.ts';
import { controlWorker, type WorkerProcess } from '../harness/worker-process.ts';
import type { BenchRung } from './rung-client.ts';
import type { WireCount } from './rung-server.ts';

const rungs: readonly BenchRung[] = [
  'udp',
  'turn-tls',
  'websocket',
  'http-stream',
  'http-stream-h1',
  'long-poll',
  'long-poll-h1',
];
const bytes = 100;
const intervalMs = 20;
const durationMs = 3000;
/** For what opens the connection to come to its end. */
const settleMs = 700;

interface Wire {
  readonly up: number;
  readonly down: number;
}

/** None where network namespaces are not to be had. */
export async function measureWire({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    progress('bytes on the wire are left out: that needs Linux and root, for a network namespace');
    return [];
  }
  const wires = new Map<BenchRung, Wire[]>();
  for (const rung of rungs) {
    progress(`bytes on the wire by ${rung}`);
    wires.set(rung, await measure(rung, Math.min(runs, 3)));
  }
  const udp = wires.get('udp') ?? [];
  return [...wires].flatMap(([rung, counts]) =>
    (['up', 'down'] as const).map((direction) => {
      const id = `tunnel.${rung}.wire_bytes_${direction}`;
      const unit = 'bytes on the wire per 100 B packet';
      const own = figure(id, unit, ofDirection(counts, direction));
      return rung === 'udp' ? own : against(own, 'UDP', ofDirection(udp, direction));
    }),
  );
}

function ofDirection(wires: readonly Wire[], direction: 'up' | 'down'): Summary {
  return summarize(wires.map((wire) => wire[direction]));
}

async function measure(rung: BenchRung, runs: number): Promise<Wire[]> {
  const server = startIn(['unshare', '--net'], './rung-server.js');
  const started = server.call('start');
  try {
    const ends = await started;
    const client = startIn(['nsenter', '--target', String(server.pid), '--net'], './rung-client.js');
    try {
      await client.call('connect', { rung, ends });
      await client.call('start', { bytes, intervalMs });
      await pause(settleMs);
      await client.call('stop');
      const wires: Wire[] = [];
      for (let run = 0; run < runs; run++) {
        const up = await perPacket(server, async () => {
          await client.call('start', { bytes, intervalMs });
          await pause(durationMs);
          return (await client.call('stop')) as number;
        });
        const down = await perPacket(server, async () => {
          await server.call('send', { bytes, intervalMs });
          await pause(durationMs);
          return (await server.call('stopSending')) as number;
        });
        wires.push({ up, down });
      }
      await client.call('close');
      return wires;
    } finally {
      await client.stop();
    }
  } finally {
    await server.stop();
  }
}

async function perPacket(server: WorkerProcess, send: () => Promise<number>): Promise<number> {
  await pause(settleMs);
  const before = (await server.call('wire')) as WireCount;
  const sent = await send();
  // The last acknowledgement.
  await pause(100);
  const after = (await server.call('wire')) as WireCount;
  return (after.bytes - before.bytes) / sent;
}

function startIn(prefix: readonly string[], module: string): WorkerProcess {
  const path = fileURLToPath(new URL(module, import.meta.url));
  const [command = '', ...rest] = prefix;
  const script = 'ip link set lo up && exec "$0" "$1"';
  const child = spawn(command, [...rest, 'sh', '-c', script, process.execPath, path], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  return controlWorker(child);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
