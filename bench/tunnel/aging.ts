/**
 * How old audio and video are when they come out of a tunnel whose path is bad: with the queue and credits of the tunnel,
 * without them, and over a plain WebSocket relay. Real TCP between network namespaces, over the emulated link of the lab.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchOptions } from '../benches.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { controlWorker, type WorkerProcess } from '../harness/worker-process.ts';
import { plainLink } from '../lab/link/parameters.ts';
import { missingNeed } from '../lab/lab-missing.ts';
import { edgeAddress, withNamespaces, type Lab } from '../lab/namespaces.ts';
import { mediaShape } from './media-packets.ts';
import type { MediaReading, MediaSent } from './media-packets.ts';

const modules = {
  server: fileURLToPath(new URL('./aging-server.js', import.meta.url)),
  client: fileURLToPath(new URL('./aging-client.js', import.meta.url)),
};

/** Half of a round trip of 50 ms. */
const oneWayMs = 25;
const congestions = ['bbr', 'cubic'] as const;
type Congestion = (typeof congestions)[number];
const ways = ['queue', 'queue-up', 'split', 'split-up', 'no-queue', 'relay'] as const;
/**
 * `split`: this tunnel, from the edge to the client, audio on a connection of its own, as clients do by default; `queue`:
 * all on one connection; `split-up`, `queue-up`: the other way. `no-queue`: on one connection, with neither credits nor
 * deadlines. `relay`: another server, which sends every datagram as a message at once.
 */
type Way = (typeof ways)[number];

const lossMs = 30_000;
/** The tunnel itself is measured at each of them, the others at the one that the comparison is about. */
const lossPercents = [0, 1, 2, 5];
const comparedLossPercent = 2;
/** What is offered, with its headers, is some 1.1 Mbit/s. */
const limitedKilobits = 660;
const beforeLimitMs = 5_000;
const limitMs = 30_000;
const afterLimitMs = 6_000;

interface Outcome {
  readonly reading: MediaReading;
  readonly sent: MediaSent;
  /** That were made in the time that the reading is of. */
  readonly frames: number;
  readonly audioLostPercent: number;
  readonly recoveryMs: number;
}

export async function benchAging({ progress }: BenchOptions): Promise<readonly Figure[]> {
  const missing = missingNeed();
  if (missing !== false) throw new Error(`this bench needs network namespaces: ${missing}`);
  const figures: Figure[] = [];
  for (const congestion of congestions) {
    for (const way of ways) {
      for (const lossPercent of way === 'split' || way === 'queue' ? lossPercents : [comparedLossPercent]) {
        const name = `aging.loss${String(lossPercent)}.${congestion}.${way}`;
        progress(name);
        figures.push(...ageFigures(name, await throughLoss(congestion, way, lossPercent)));
      }
      const name = `aging.rate60.${congestion}.${way}`;
      progress(name);
      const outcome = await throughLimit(congestion, way);
      figures.push(...ageFigures(name, outcome));
      figures.push(one(`${name}.recovery_ms`, 'ms from the end of the limit to video as before', outcome.recoveryMs));
    }
  }
  return figures;
}

function isUp(way: Way): boolean {
  return way === 'queue-up' || way === 'split-up';
}

function ageFigures(name: string, { reading, frames, audioLostPercent }: Outcome): Figure[] {
  const framePercent = (some: number): number => (some / frames) * 100;
  return [
    one(`${name}.audio_p50_ms`, 'ms of age, audio', reading.audioP50Ms),
    one(`${name}.audio_p99_ms`, 'ms of age, audio', reading.audioP99Ms),
    one(`${name}.audio_lost_percent`, '% of audio lost', audioLostPercent),
    one(`${name}.video_p99_ms`, 'ms of age, whole frames', reading.videoP99Ms),
    one(`${name}.video_decodable_percent`, '% of frames that could be decoded', framePercent(reading.decodableFrames)),
    one(`${name}.video_broken_percent`, '% of frames of which a part came', framePercent(reading.brokenFrames)),
    one(`${name}.video_freeze_ms`, 'ms without a picture, longest', reading.longestFreezeMs),
  ];
}

function one(id: string, unit: string, value: number): Figure {
  return figure(id, unit, summarize([value]));
}

export async function throughLoss(congestion: Congestion, way: Way, lossPercent: number): Promise<Outcome> {
  return withPair(congestion, way, lossPercent, async (_lab, sender, receiver) => {
    const from = (await receiver.call('now')) as number;
    await pause(lossMs);
    return outcome(sender, receiver, from, null);
  });
}

export async function throughLimit(congestion: Congestion, way: Way): Promise<Outcome> {
  return withPair(congestion, way, 0, async (lab, sender, receiver) => {
    await pause(beforeLimitMs);
    const from = (await receiver.call('now')) as number;
    const narrow = isUp(way) ? lab.client : lab.edge;
    const limit = ['tbf', 'rate', `${String(limitedKilobits)}kbit`, 'burst', '3000', 'limit', '256000'];
    await narrow.run(['tc', 'qdisc', 'add', 'dev', 'eth0', 'root', ...limit]);
    await pause(limitMs);
    await narrow.run(['tc', 'qdisc', 'del', 'dev', 'eth0', 'root']);
    const end = (await receiver.call('now')) as number;
    await pause(afterLimitMs);
    return outcome(sender, receiver, from, end);
  });
}

/** `limitEnd` null: until now. */
async function outcome(
  sender: WorkerProcess,
  receiver: WorkerProcess,
  from: number,
  limitEnd: number | null,
): Promise<Outcome> {
  const until = limitEnd ?? ((await receiver.call('now')) as number);
  const sent = (await sender.call('stopMedia')) as MediaSent;
  // What is still on its way.
  await pause(3000);
  const reading = (await receiver.call('reading', { from, until })) as MediaReading;
  const expected = (until - from) / mediaShape.audioIntervalMs;
  return {
    reading,
    sent,
    frames: (until - from) / mediaShape.frameIntervalMs,
    audioLostPercent: Math.max(0, (1 - reading.audioReceived / expected) * 100),
    recoveryMs: limitEnd === null ? 0 : ((await receiver.call('recoveryMs', limitEnd)) as number),
  };
}

async function withPair<T>(
  congestion: Congestion,
  way: Way,
  lossPercent: number,
  use: (lab: Lab, sender: WorkerProcess, receiver: WorkerProcess) => Promise<T>,
): Promise<T> {
  const direction = { ...plainLink, delayMs: oneWayMs, lossPercent };
  return withNamespaces({ link: { up: direction, down: direction, seed: 7 } }, async (lab) => {
    const server = controlWorker(lab.edge.fork(modules.server));
    const client = controlWorker(lab.client.fork(modules.client));
    try {
      const dataDir = path.join(lab.folder, 'edge');
      const urls = (await server.call('start', { address: edgeAddress, dataDir })) as { edge: string; relay: string };
      await server.call('congestion', congestion);
      if (way === 'relay') await client.call('connectRelay', urls.relay);
      else {
        const flow = way !== 'no-queue';
        const isSplit = way === 'split' || way === 'split-up';
        await client.call('connectEdge', { url: urls.edge, credits: flow, split: isSplit });
        if (isUp(way)) {
          await client.call('congestion', congestion);
          await server.call('receive');
          await client.call('startMedia', flow);
          return await use(lab, client, server);
        }
        await server.call('startMedia', flow);
      }
      return await use(lab, server, client);
    } finally {
      await Promise.all([server.stop(), client.stop()]);
    }
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
