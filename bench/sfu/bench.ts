/**
 * What forwarding costs. One publisher, ten (or a hundred) subscribers over UDP with DTLS-SRTP, AEAD_AES_128_GCM, packets of
 * 1200 bytes with header extensions, the SFU's RTX history and feedback on. The edge has core 0 to itself, the clients
 * core 1. The clients are real; their RTP is taken over (`socket-tap.ts`): packets are protected before the clock starts, and
 * what arrives is counted by recvmmsg, so that one core of load can outrun one core of SFU.
 *
 * Throughput is what comes out while a window of packets is always under way; `frames` is the same with the bursts of
 * real video frames, five packets at a time. The delay is that of half the throughput, evenly paced, from the load's
 * sendmmsg to its recvmmsg. Plain werift forwarding runs in the same run, with the same load.
 */
import type { BenchOptions } from '../benches.ts';
import type { CpuReading } from '../harness/cpu-meter.ts';
import { against, figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker, type WorkerProcess } from '../harness/worker-process.ts';
import { benchCalls, benchJoins, hundredPersonCalls, speakersAndListeners } from './call-bench.ts';
import type { BlastOptions, BlastResult } from './blast.ts';

/** 1200 bytes as a datagram: RTP header 12, MID extension 8, SRTP tag 16. */
const payloadBytes = 1164;
const window = 64;
const frameBurst = 5;

interface Load extends BlastOptions {
  readonly packets: number;
}

const units: Readonly<Record<string, string>> = {
  'sfu.fanout10.1200.pps': 'packets/s from one core',
  'sfu.fanout10.1200.cpu_us': 'µs of CPU per packet sent',
  'sfu.fanout10.1200.lost_percent': '% lost',
  'sfu.frames10.1200.pps': 'packets/s from one core',
  'sfu.fanout100.1200.pps': 'packets/s from one core',
  'sfu.fanout100.1200.cpu_us': 'µs of CPU per packet sent',
  'sfu.delay.half.p50_ms': 'ms',
  'sfu.delay.half.p99_ms': 'ms',
  'sfu.delay.half.load_held_up_ms': 'ms, the longest pause of the load itself',
};

/** Runs by figure. */
class Samples {
  readonly #values = new Map<string, number[]>();

  add(name: string, value: number): void {
    const values = this.#values.get(name) ?? [];
    values.push(value);
    this.#values.set(name, values);
  }

  /** Of what was run; where plain werift was too, beside it. */
  figures(): readonly Figure[] {
    return Object.entries(units).flatMap(([id, unit]) => {
      const values = this.#values.get(id);
      if (values === undefined) return [];
      const ours = figure(id, unit, summarize(values));
      const werift = this.#values.get(id.replace('sfu.fanout10.1200', 'werift'));
      return id.startsWith('sfu.fanout10.1200') && werift !== undefined
        ? [against(ours, 'werift', summarize(werift))]
        : [ours];
    });
  }
}

const parts = ['fanout10', 'fanout100', 'werift', 'joins', 'calls', 'rooms'] as const;
type Part = (typeof parts)[number];

/** `only` are names of parts: all of it takes longer than a machine may be left alone. */
export async function benchSfu({ runs, only, progress }: BenchOptions): Promise<readonly Figure[]> {
  const unknown = (only ?? []).filter((name) => !(parts as readonly string[]).includes(name));
  if (unknown.length > 0) throw new Error(`sfu has no part ${unknown.join(', ')}; there are ${parts.join(', ')}`);
  const runsPart = (part: Part): boolean => only === null || only.includes(part);
  const samples = new Samples();
  if (runsPart('fanout10')) await fanOut(10, 20_000, runs, samples, progress);
  if (runsPart('fanout100')) await fanOut(100, 2500, runs, samples, progress);
  if (runsPart('werift')) await weriftFanOut(10, 8000, runs, samples, progress);
  const joins = runsPart('joins') ? await benchJoins(runs, progress) : [];
  const calls = runsPart('calls') ? await benchCalls(hundredPersonCalls, runs, progress) : [];
  const rooms = runsPart('rooms') ? await benchCalls(speakersAndListeners, runs, progress) : [];
  return [...samples.figures(), ...joins, ...calls, ...rooms];
}

async function fanOut(
  receivers: number,
  packets: number,
  runs: number,
  samples: Samples,
  progress: BenchOptions['progress'],
): Promise<void> {
  const id = `sfu.fanout${String(receivers)}.1200`;
  const server = startWorker(new URL('./server.js', import.meta.url), 0);
  const load = startWorker(new URL('./load.js', import.meta.url), 1);
  try {
    const url = await server.call('start');
    await load.call('connect', { url, subscribers: receivers }, 240_000);
    for (let run = 0; run <= runs; run++) {
      progress(`1 → ${String(receivers)}, ${run === 0 ? 'warm-up' : `run ${String(run)} of ${String(runs)}`}`);
      const full = { packets, receivers, burst: 16, perSecond: 0, window };
      const fast = await measure(server, load, full);
      const frames =
        receivers === 10 ? await measure(server, load, { ...full, burst: frameBurst, window: frameBurst }) : null;
      const half = {
        packets: Math.ceil(packets / 2),
        receivers,
        burst: 1,
        perSecond: fast.pps / receivers / 2,
        window,
      };
      const paced = receivers === 10 ? await measure(server, load, half) : null;
      if (run === 0) continue;
      samples.add(`${id}.pps`, fast.pps);
      samples.add(`${id}.cpu_us`, fast.cpuUs);
      samples.add(`${id}.lost_percent`, fast.lostPercent);
      if (frames !== null) samples.add('sfu.frames10.1200.pps', frames.pps);
      if (paced === null) continue;
      samples.add('sfu.delay.half.p50_ms', paced.result.delayP50Ms);
      samples.add('sfu.delay.half.p99_ms', paced.result.delayP99Ms);
      samples.add('sfu.delay.half.load_held_up_ms', paced.result.heldUpMs);
    }
    await load.call('close', undefined, 120_000);
    await server.call('stop');
  } finally {
    await Promise.all([load.stop(), server.stop()]);
  }
}

async function weriftFanOut(
  receivers: number,
  packets: number,
  runs: number,
  samples: Samples,
  progress: BenchOptions['progress'],
): Promise<void> {
  const server = startWorker(new URL('./werift-server.js', import.meta.url), 0);
  const load = startWorker(new URL('./load.js', import.meta.url), 1);
  try {
    const offer = await load.call('offerPublisher');
    await load.call('answered', { name: 'publisher', sdp: await server.call('publisher', offer) });
    for (let i = 0; i < receivers; i++) {
      const name = `subscriber-${String(i)}`;
      const sdp = await server.call('subscriber', await load.call('offerSubscriber', name));
      await load.call('answered', { name, sdp });
    }
    await load.call('heardBy', receivers);
    for (let run = 0; run <= runs; run++) {
      progress(`werift 1 → ${String(receivers)}, ${run === 0 ? 'warm-up' : `run ${String(run)} of ${String(runs)}`}`);
      const { pps, cpuUs } = await measure(server, load, { packets, receivers, burst: 16, perSecond: 0, window });
      if (run === 0) continue;
      samples.add('werift.pps', pps);
      samples.add('werift.cpu_us', cpuUs);
    }
  } finally {
    await Promise.all([load.stop(), server.stop()]);
  }
}

async function measure(
  server: WorkerProcess,
  load: WorkerProcess,
  options: Load,
): Promise<{ pps: number; cpuUs: number; lostPercent: number; result: BlastResult }> {
  await server.call('begin');
  const result = (await load.call('blast', { ...options, bytes: payloadBytes }, 120_000)) as BlastResult;
  const cpu = (await server.call('end')) as CpuReading;
  if (result.received === 0) throw new Error('no packet was forwarded');
  return {
    pps: (result.received / result.ms) * 1000,
    cpuUs: cpu.cpuUs / result.received,
    lostPercent: 100 * (1 - result.received / (result.sent * options.receivers)),
    result,
  };
}
