/**
 * Calls as they are: rooms of synthetic peers (`call-load.ts`) in a process on core 1, the edge on core 0. The first is the call of
 * a hundred: everybody sends 1 Mbit/s and 100 kbit/s of video in two layers and sound, and gets one large picture, five small
 * ones and three voices. The second has rooms of fifty who speak and fifty who listen.
 */
import type { CpuReading } from '../harness/cpu-meter.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { startWorker } from '../harness/worker-process.ts';
import type { CallResult, RoomPlan } from './call-load.ts';

export interface CallScenario {
  /** Begins the ids of its figures. */
  readonly id: string;
  readonly rooms: number;
  readonly room: Omit<RoomPlan, 'url' | 'room'>;
}

export const hundredPersonCalls: CallScenario = {
  id: 'sfu.call100',
  rooms: 2,
  room: { senders: 100, listeners: 0, video: true },
};
export const speakersAndListeners: CallScenario = {
  id: 'sfu.rooms50x50',
  rooms: 4,
  room: { senders: 50, listeners: 50, video: false },
};

/** Estimates of bandwidth and choices of layers have settled. */
const settleMs = 5000;
const measureMs = 10_000;
const joinTimeoutMs = 240_000;
/** With more loss, by the SFU or by a load that has not enough of its own core, less was sent than is claimed. */
const maxLostPercent = 1;

export async function benchCalls(
  { id, rooms, room }: CallScenario,
  runs: number,
  progress: (text: string) => void,
): Promise<readonly Figure[]> {
  const server = startWorker(new URL('./server.js', import.meta.url), 0);
  const load = startWorker(new URL('./call-load.js', import.meta.url), 1);
  const results: { readonly outcome: CallResult; readonly cpu: CpuReading }[] = [];
  try {
    const url = (await server.call('start')) as string;
    for (let i = 0; i < rooms; i++) {
      progress(`${id}: room ${String(i + 1)} of ${String(rooms)} is joined`);
      await load.call('connect', { url, room: `room-${String(i)}`, ...room } satisfies RoomPlan, joinTimeoutMs);
    }
    for (let run = 1; run <= runs; run++) {
      progress(`${id}: ${String(rooms)} rooms, run ${String(run)} of ${String(runs)}`);
      const running = load.call('run', { settleMs, ms: measureMs }, joinTimeoutMs) as Promise<CallResult>;
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      await server.call('begin');
      const outcome = await running;
      results.push({ outcome, cpu: (await server.call('end')) as CpuReading });
    }
    await load.call('close');
    await server.call('stop', undefined, joinTimeoutMs);
  } finally {
    await Promise.all([load.stop(), server.stop()]);
  }
  const of = (name: string, unit: string, value: (result: (typeof results)[0]) => number): Figure =>
    figure(`${id}.${name}`, unit, summarize(results.map(value)));
  const busy = ({ cpu }: (typeof results)[0]): number => cpu.cpuUs / 1000 / cpu.wallMs;
  return [
    of('rooms', 'rooms at once', () => rooms),
    of('cpu_percent', '% of one core, all rooms', (result) => 100 * busy(result)),
    of('carried', 'such rooms by one core, at that price (0: too much was lost)', (result) =>
      result.outcome.lostPercent > maxLostPercent ? 0 : rooms / busy(result),
    ),
    of('in_pps', 'packets/s in', ({ outcome }) => outcome.sent / (measureMs / 1000)),
    of('out_pps', 'packets/s out', ({ outcome }) => outcome.received / (measureMs / 1000)),
    of('out_mbit', 'Mbit/s out', ({ outcome }) => outcome.receivedMbit),
    of('lost_percent', '% lost', ({ outcome }) => outcome.lostPercent),
    of('delay_p50_ms', 'ms', ({ outcome }) => outcome.delayP50Ms),
    of('delay_p99_ms', 'ms', ({ outcome }) => outcome.delayP99Ms),
    of('load_held_up_ms', 'ms, the longest pause of the load itself', ({ outcome }) => outcome.heldUpMs),
  ];
}

const warmUpPeers = 40;
const joiningPeers = 100;
/** Rooms that are joined before the joins of an edge that has run for a while are counted. */
const roomsBeforeSteady = 3;

/**
 * What a participant costs who joins and then does nothing: all of a join (HTTPS, control channel, offer, ICE, DTLS), and the memory
 * that stays, after garbage was collected. The first peers are not counted: they load and compile. V8 still compiles in the
 * room that is counted then, in threads of its own on the same core; `steady` is what a join costs when that is over.
 */
export async function benchJoins(runs: number, progress: (text: string) => void): Promise<readonly Figure[]> {
  const cpuMs: number[] = [];
  const steadyMs: number[] = [];
  const rssKib: number[] = [];
  for (let run = 1; run <= runs; run++) {
    progress(`joins, run ${String(run)} of ${String(runs)}`);
    const server = startWorker(new URL('./server.js', import.meta.url), 0);
    const load = startWorker(new URL('./call-load.js', import.meta.url), 1);
    try {
      const url = (await server.call('start')) as string;
      const join = (room: string, listeners: number): Promise<unknown> =>
        load.call('connect', { url, room, senders: 0, listeners, video: false } satisfies RoomPlan, joinTimeoutMs);
      await join('warm-up', warmUpPeers);
      const before = (await server.call('rss')) as number;
      const cost = async (room: string): Promise<number> => {
        await server.call('begin');
        await join(room, joiningPeers);
        return ((await server.call('end')) as CpuReading).cpuUs / 1000 / joiningPeers;
      };
      cpuMs.push(await cost('idle'));
      rssKib.push((((await server.call('rss')) as number) - before) / 1024 / joiningPeers);
      for (let room = 1; room < roomsBeforeSteady; room++) await join(`idle-${String(room)}`, joiningPeers);
      steadyMs.push(await cost('steady'));
      await load.call('close');
      await server.call('stop', undefined, joinTimeoutMs);
    } finally {
      await Promise.all([load.stop(), server.stop()]);
    }
  }
  return [
    figure('sfu.join.cpu_ms', 'ms of CPU per join', summarize(cpuMs)),
    figure('sfu.join.steady.cpu_ms', 'ms of CPU per join, nothing left to compile', summarize(steadyMs)),
    figure('sfu.idle.rss_kib', 'KiB of memory per participant', summarize(rssKib)),
  ];
}
