/** Runs the matrix: one network per profile, and in it one client after the other. */
import path from 'node:path';
import { runCell, type CellRun } from './cell.ts';
import { ChromiumClient } from './chromium-client.ts';
import type { ClientUnderTest } from './client-under-test.ts';
import { startCapture } from './capture.ts';
import { startLabEdge, type LabEdge } from './lab-edge.ts';
import type { Intermediary } from './intermediary.ts';
import { withNamespaces, type Lab } from './namespaces.ts';
import { NodeParticipant } from './node-client.ts';
import type { ClientKind, Profile } from './profile.ts';
import { labCell, type CellNotYet, type LabCell, type LabNetwork } from './result.ts';

export interface RunOptions {
  readonly profiles: readonly Profile[];
  readonly clients: readonly ClientKind[];
  /** Runs of each cell, each in a room of its own. */
  readonly repeat: number;
  readonly watchMs: number;
  /** Where captures go; null: none are made. */
  readonly captureFolder: string | null;
  readonly progress: (event: ProgressEvent) => void;
}

export type ProgressEvent =
  | { readonly type: 'network'; readonly profile: Profile }
  | { readonly type: 'cell'; readonly profile: Profile; readonly client: ClientKind }
  | { readonly type: 'not-yet'; readonly profile: Profile; readonly client: ClientKind; readonly reason: string }
  | { readonly type: 'run'; readonly run: CellRun };

export interface LabRun {
  readonly cells: readonly LabCell[];
  readonly networks: readonly LabNetwork[];
  readonly notYet: readonly CellNotYet[];
}

/** Rejects when the lab itself does not work: no namespaces, no edge, no browser. A client that fails is a red cell. */
export async function runLab(options: RunOptions): Promise<LabRun> {
  const cells: LabCell[] = [];
  const networks: LabNetwork[] = [];
  const notYet: CellNotYet[] = [];
  for (const profile of options.profiles) {
    options.progress({ type: 'network', profile });
    const { firewall, link } = profile;
    const network = { ...(firewall === undefined ? {} : { firewall }), ...(link === undefined ? {} : { link }) };
    await withNamespaces(network, async (lab) => {
      const edge = await startLabEdge(lab);
      const intermediary = (await profile.intermediary?.(lab)) ?? null;
      const peer = new NodeParticipant(lab.edge, edge.url, 'Peer');
      for (const kind of options.clients) {
        const reason = profile.notYet?.[kind];
        if (reason !== undefined) {
          notYet.push({ profile: profile.name, client: kind, reason });
          options.progress({ type: 'not-yet', profile, client: kind, reason });
          continue;
        }
        options.progress({ type: 'cell', profile, client: kind });
        cells.push(labCell(profile, kind, await runClient(options, profile, kind, { lab, edge, peer, intermediary })));
      }
      await peer.close();
      const facts = (await intermediary?.facts()) ?? [];
      await intermediary?.close();
      const stopped = await lab.packetsStopped();
      const statistics = await lab.endLink();
      const { name, summary } = profile;
      networks.push({
        profile: name,
        summary,
        stopped,
        facts,
        link: statistics === null ? null : { up: statistics.up, down: statistics.down },
      });
    });
  }
  return { cells, networks, notYet };
}

interface Stage {
  readonly lab: Lab;
  readonly edge: LabEdge;
  readonly peer: ClientUnderTest;
  readonly intermediary: Intermediary | null;
}

async function runClient(
  { repeat, watchMs, captureFolder, progress }: RunOptions,
  profile: Profile,
  kind: ClientKind,
  { lab, edge, peer, intermediary }: Stage,
): Promise<readonly CellRun[]> {
  const capture =
    captureFolder === null
      ? null
      : await startCapture(lab, path.resolve(captureFolder, `lab-${profile.name}-${kind}.pcap`));
  const client =
    kind === 'chromium'
      ? await ChromiumClient.launch(lab, edge, intermediary)
      : new NodeParticipant(lab.client, edge.url, 'Client', intermediary);
  const runs: CellRun[] = [];
  const watched = Math.max(watchMs, (profile.watchSeconds ?? 0) * 1000);
  for (let number = 1; number <= repeat; number++) {
    const run = await runCell({ profile, kind, client, peer, room: `${kind}-${String(number)}`, watchMs: watched });
    runs.push(run);
    progress({ type: 'run', run });
  }
  await client.close();
  await capture?.stop();
  if (edge.errors.length > 0) throw new Error(`the edge logged errors: ${edge.errors.join('\n')}`);
  return runs;
}
