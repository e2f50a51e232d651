/**
 * How long people wait for the first picture of somebody else: the demo page in Chromium, opened anew for each join and so without
 * memory of its network, in the lab's namespaces. From the request for a session, the first thing that a join does, to the first
 * decoded frame. The other end is a Node client that has been in the room before. Needs Linux, root, nft and what the networks need.
 */
import type { BenchOptions } from '../benches.ts';
import type { Figure } from '../harness/result-file.ts';
import { figure } from '../harness/result-file.ts';
import { percentile, summarize } from '../harness/statistics.ts';
import { ChromiumClient } from '../lab/chromium-client.ts';
import { startLabEdge } from '../lab/lab-edge.ts';
import { withNamespaces } from '../lab/namespaces.ts';
import { NodeParticipant } from '../lab/node-client.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { joinNetworks } from './networks.ts';
import type { JoinNetwork } from './networks.ts';

/** So many make a p95 that is more than the worst one. */
const joinsPerRun = 4;
const patienceMs = 30_000;
const pollMs = 50;
/** Between two joins, for the last page's end. */
const settleMs = 300;

interface Join {
  readonly ms: number;
  readonly rung: Rung | null;
}

export async function benchJoin({ runs, only, progress }: BenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const network of joinNetworks.filter(({ name }) => only === null || only.includes(name))) {
    const joins = await joinsOf(network, runs * joinsPerRun, progress);
    figures.push(...figuresOf(network, joins));
    const { value } = figures.at(-1) ?? { value: NaN };
    progress(
      `${network.name}: p95 ${String(value)} ms of ${String(joins.length)}, target ${String(network.targetMs)} ms`,
    );
  }
  return figures;
}

function figuresOf({ name, targetMs }: JoinNetwork, joins: readonly Join[]): readonly Figure[] {
  const times = joins.map(({ ms }) => ms).sort((a, b) => a - b);
  const p95 = percentile(times, 0.95);
  const spread = [times[0] ?? 0, times.at(-1) ?? 0] as const;
  return [
    figure(`join.${name}.chromium.p50_ms`, 'ms', summarize(times)),
    {
      ...figure(`join.${name}.chromium.p95_ms`, 'ms', { median: p95, spread }),
      against: { name: 'target', value: targetMs },
      ratio: Number((p95 / targetMs).toPrecision(3)),
    },
  ];
}

async function joinsOf(
  { name, profile }: JoinNetwork,
  count: number,
  progress: (text: string) => void,
): Promise<readonly Join[]> {
  const { firewall = '' } = profile;
  return withNamespaces({ firewall }, async (lab) => {
    const edge = await startLabEdge(lab);
    const hop = (await profile.intermediary?.(lab)) ?? null;
    const peer = new NodeParticipant(lab.edge, edge.url, 'Peer');
    const client = await ChromiumClient.launch(lab, edge, hop);
    const joins: Join[] = [];
    try {
      await peer.join(name, patienceMs);
      // The first one finds nothing compiled, and is not counted.
      for (let number = 0; number <= count; number++) {
        const join = await joinOnce(client, name);
        progress(`${name} ${String(number)} of ${String(count)}: ${join.ms.toFixed(0)} ms, ${join.rung ?? 'no rung'}`);
        if (number > 0) joins.push(join);
      }
    } finally {
      await Promise.allSettled([client.close(), peer.close()]);
      await hop?.close();
    }
    return joins;
  });
}

async function joinOnce(client: ChromiumClient, room: string): Promise<Join> {
  const deadline = performance.now() + patienceMs;
  await client.join(room, patienceMs);
  try {
    for (;;) {
      const { joinMs, rung } = await client.report();
      if (joinMs !== null) return { ms: joinMs, rung };
      if (performance.now() > deadline)
        throw new Error(`no picture within ${String(patienceMs)} ms, on ${rung ?? 'no rung'}`);
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  } finally {
    await client.leave();
    await new Promise((resolve) => setTimeout(resolve, settleMs));
  }
}
