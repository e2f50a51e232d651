/**
 * How fast media moves on the ladder: from one rung to another on request, down when a network fails, up when it is good
 * again, and into a call where it must begin on a tunnel. Node clients and an edge in one process, over loopback.
 */
import { audioSlotMids, videoSlotMids, type Rung } from '../../tunnel-protocol/index.ts';
import type { BenchOptions } from '../benches.ts';
import type { PathMemory } from '../../client/index.ts';
import { startHttpProxy, type HttpProxy } from '../e2e/http-proxy.ts';
import { GapMeter, packetsOf } from '../e2e/node-tools.ts';
import { figure, type Figure } from '../harness/result-file.ts';
import { summarize } from '../harness/statistics.ts';
import { measureDecoding } from './decoding.ts';
import { nextEvent, Scene } from './scene.ts';

const [mainVideo] = videoSlotMids;
const [mainAudio] = audioSlotMids;
const room = 'r';
const through: readonly Rung[] = ['turn-udp', 'ice-tcp', 'turn-tcp', 'turn-tls', 'websocket', 'udp'];
/** What a proxy does to requests in these networks. */
const badProxies: Readonly<Record<string, Partial<HttpProxy>>> = {
  'no-upgrade': { upgrades: false },
  buffering: { upgrades: false, buffers: true },
  'text-only': { upgrades: false, textOnly: true },
};
/** The share of datagrams that a bad network loses. */
const lossyShare = 0.2;

/** Every run's value of a figure, by its id. */
class Readings {
  readonly #all = new Map<string, { readonly unit: string; readonly values: number[] }>();

  add(id: string, unit: string, value: number): void {
    const entry = this.#all.get(id);
    if (entry === undefined) this.#all.set(id, { unit, values: [value] });
    else entry.values.push(value);
  }

  figures(): Figure[] {
    return [...this.#all].map(([id, { unit, values }]) => figure(`ladder.${id}`, unit, summarize(values)));
  }
}

export async function benchLadder({ runs, progress }: BenchOptions): Promise<readonly Figure[]> {
  const readings = new Readings();
  const scenes = { switches, silence, uplink, loss, relays, joins, decoding };
  for (let run = 1; run <= runs; run++) {
    for (const [name, play] of Object.entries(scenes)) {
      progress(`${name}, run ${String(run)} of ${String(runs)}`);
      await play(readings);
    }
  }
  return readings.figures();

  async function decoding(into: Readings): Promise<void> {
    const shares = await measureDecoding(progress);
    if (shares === null) return;
    into.add('websocket.chromium_received_percent', '% of frames sent that a tab got whole', shares.received * 100);
    into.add('websocket.chromium_decoded_percent', '% of frames sent that a tab decoded', shares.decoded * 100);
  }
}

/** Through all rungs on request, first the sender, then the receiver: the longest time without a packet. */
function switches(into: Readings): Promise<void> {
  return Scene.play(async (scene) => {
    const ada = await scene.join({ room, name: 'Ada' });
    const grace = await scene.join({ room, name: 'Grace' });
    await scene.publish(ada);
    const tracks = [await scene.watch(grace, mainVideo), await scene.watch(grace, mainAudio)];
    for (const to of through) {
      for (const call of [ada, grace]) {
        const meters = tracks.map((track) => new GapMeter(track));
        await call.switchRung(to);
        await Promise.all(tracks.map((track) => packetsOf(track, 30)));
        const longest = Math.max(...meters.map(({ longestMs }) => longestMs));
        for (const meter of meters) meter.stop();
        const side = call === ada ? 'sender' : 'receiver';
        into.add(`switch.${to}.${side}_gap_ms`, 'ms without a packet, longest', longest);
      }
    }
    into.add('switch.lost', 'packets lost in all switches', grace.stats().packetsLost);
  });
}

/** UDP dies, and comes back. */
function silence(into: Readings): Promise<void> {
  return Scene.playRelayed(async (scene, relay) => {
    const ada = await scene.join({ room, name: 'Ada', rungs: ['websocket'] });
    const grace = await scene.join({ room, name: 'Grace', rungs: ['udp', 'websocket'] });
    await scene.publish(ada);
    const track = await scene.watch(grace, mainVideo);
    const meter = new GapMeter(track);
    relay.down = true;
    into.add('fall.silence_ms', 'ms from dead UDP to the tunnel', await timed(nextEvent(grace, 'downgrade')));
    await packetsOf(track, 30);
    into.add('fall.silence_gap_ms', 'ms without a packet, longest', meter.longestMs);
    meter.stop();
    relay.down = false;
    into.add('climb.proven_ms', 'ms from good UDP to media on it', await timed(nextEvent(grace, 'upgrade')));
    const back = new GapMeter(track);
    await packetsOf(track, 30);
    into.add('climb.gap_ms', 'ms without a packet, longest', back.longestMs);
    back.stop();
  });
}

/** The network takes nothing more from the client, but still delivers to it. */
function uplink(into: Readings): Promise<void> {
  return Scene.playRelayed(async (scene, relay) => {
    const ada = await scene.join({ room, name: 'Ada', rungs: ['udp', 'websocket'] });
    const grace = await scene.join({ room, name: 'Grace', rungs: ['websocket'] });
    await scene.publish(ada);
    await scene.publish(grace);
    await Promise.all([scene.watch(grace, mainVideo), scene.watch(ada, mainVideo)]);
    relay.upDown = true;
    into.add('fall.uplink_ms', 'ms from a dead way up to the tunnel', await timed(nextEvent(ada, 'downgrade')));
  });
}

function loss(into: Readings): Promise<void> {
  return Scene.playRelayed(async (scene, relay) => {
    const ada = await scene.join({ room, name: 'Ada', rungs: ['websocket'] });
    const grace = await scene.join({ room, name: 'Grace', rungs: ['udp', 'websocket'] });
    await scene.publish(ada);
    await scene.watch(grace, mainVideo);
    relay.loss = lossyShare;
    into.add('fall.loss20_ms', 'ms from 20 % loss to the tunnel', await timed(nextEvent(grace, 'downgrade')));
  });
}

/** UDP dies where no tunnel is allowed: TURN has to be opened first. */
function relays(into: Readings): Promise<void> {
  return Scene.playRelayed(async (scene, relay) => {
    const ada = await scene.join({ room, name: 'Ada', rungs: ['websocket'] });
    const grace = await scene.join({ room, name: 'Grace', rungs: ['udp', 'turn-tls'] });
    await scene.publish(ada);
    const track = await scene.watch(grace, mainVideo);
    relay.down = true;
    into.add('fall.turn_tls_ms', 'ms from dead UDP to media by TURN', await timed(packetsOf(track, 1)));
  });
}

/** Joins of networks that know only a part of the ladder. */
function joins(into: Readings): Promise<void> {
  return Scene.playRelayed(async (scene, relay) => {
    const unit = 'ms from join to media';
    into.add('join.open_ms', unit, (await scene.join({ room, name: 'Ada' })).stats().joinMs);
    relay.down = true;
    const noUdp = { room, rungs: ['udp', 'websocket'] } as const;
    const unknown = await scene.join({ ...noUdp, name: 'Grace', pathMemory: memoryOf(null) });
    into.add('join.udp-dropped_ms', unit, unknown.stats().joinMs);
    const known = await scene.join({ ...noUdp, name: 'Radia', pathMemory: memoryOf('websocket') });
    into.add('join.udp-dropped-known_ms', unit, known.stats().joinMs);
    const rungs: readonly Rung[] = ['websocket', 'http-stream', 'long-poll'];
    for (const [network, rules] of Object.entries(badProxies)) {
      const proxy = await startHttpProxy(scene.edge.url);
      Object.assign(proxy, rules);
      scene.cleanUp(() => proxy.close());
      const call = await scene.join({ room, name: network, rungs }, proxy.url);
      into.add(`join.${network}_ms`, unit, call.stats().joinMs);
    }
  });
}

function memoryOf(rung: Rung | null): PathMemory {
  return { get: () => (rung === null ? undefined : { rung, at: Date.now() }), set: () => undefined };
}

async function timed(event: Promise<unknown>): Promise<number> {
  const from = performance.now();
  await event;
  return performance.now() - from;
}
