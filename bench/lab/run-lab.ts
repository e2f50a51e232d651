/** Runs the matrix: one network per profile, some of them at once, and in each one client after the other. */
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
  /** So many networks at once; they share nothing but the machine. */
  readonly jobs: number;
  /**
   * A red cell, and a network that did not come up, is run once more when all is done, alone on the machine, and counts
   * as what it is then.
   */
  readonly confirm: boolean;
  readonly watchMs: number;
  /** Where captures go; null: none are made. */
  readonly captureFolder: string | null;
  readonly progress: (event: ProgressEvent) => void;
}

export type ProgressEvent =
  | { readonly type: 'network'; readonly profile: Profile }
  | { readonly type: 'broken'; readonly profile: Profile; readonly reason: string }
  | { readonly type: 'again'; readonly profile: Profile; readonly client: ClientKind }
  | { readonly type: 'not-yet'; readonly profile: Profile; readonly client: ClientKind; readonly reason: string }
  | { readonly type: 'run'; readonly profile: Profile; readonly client: ClientKind; readonly run: CellRun };

export interface LabRun {
  readonly cells: readonly LabCell[];
  readonly networks: readonly LabNetwork[];
  readonly notYet: readonly CellNotYet[];
}

/** What one network came to. */
interface NetworkRun {
  readonly cells: readonly (readonly [ClientKind, readonly CellRun[]])[];
  readonly network: LabNetwork;
  readonly notYet: readonly CellNotYet[];
}

/** Rejects when the lab itself does not work: no namespaces, no edge, no browser. A client that fails is a red cell. */
export async function runLab(options: RunOptions): Promise<LabRun> {
  const { profiles, jobs, confirm, progress } = options;
  const waiting = [...profiles.entries()];
  const runs: NetworkRun[] = [];
  const broken: (readonly [number, Profile])[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, profile] = next;
      try {
        runs[index] = await runNetwork(options, profile, options.clients);
      } catch (error) {
        if (!confirm) throw error;
        broken.push([index, profile]);
        progress({ type: 'broken', profile, reason: String(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, profiles.length) }, work));
  for (const [index, profile] of broken) runs[index] = await runNetwork(options, profile, options.clients);
  const cells: LabCell[] = [];
  for (const [index, profile] of profiles.entries()) {
    for (const [kind, first] of runs[index]?.cells ?? []) {
      if (!confirm || first.every(({ ok }) => ok)) {
        cells.push(labCell(profile, kind, first));
        continue;
      }
      progress({ type: 'again', profile, client: kind });
      const again = await runNetwork({ ...options, repeat: 1 }, profile, [kind]);
      cells.push(labCell(profile, kind, first, again.cells[0]?.[1]));
    }
  }
  return {
    cells,
    networks: runs.map(({ network }) => network),
    notYet: runs.flatMap(({ notYet }) => notYet),
  };
}

async function runNetwork(options: RunOptions, profile: Profile, clients: readonly ClientKind[]): Promise<NetworkRun> {
  const { progress } = options;
  const notYet = clients.flatMap((client) => {
    const reason = profile.notYet?.[client];
    return reason === undefined ? [] : [{ profile: profile.name, client, reason }];
  });
  for (const { client, reason } of notYet) progress({ type: 'not-yet', profile, client, reason });
  progress({ type: 'network', profile });
  const { name, summary, firewall, link } = profile;
  const plan = { ...(firewall === undefined ? {} : { firewall }), ...(link === undefined ? {} : { link }) };
  return withNamespaces(plan, async (lab) => {
    const edge = await startLabEdge(lab);
    const intermediary = (await profile.intermediary?.(lab)) ?? null;
    const peer = new NodeParticipant(lab.edge, edge.url, 'Peer');
    const cells: (readonly [ClientKind, readonly CellRun[]])[] = [];
    for (const kind of clients) {
      if (profile.notYet?.[kind] !== undefined) continue;
      cells.push([kind, await runClient(options, profile, kind, { lab, edge, peer, intermediary })]);
    }
    await peer.close();
    const facts = (await intermediary?.facts()) ?? [];
    await intermediary?.close();
    const stopped = await lab.packetsStopped();
    const statistics = await lab.endLink();
    const { up, down } = statistics ?? {};
    const emulated = up === undefined || down === undefined ? null : { up, down };
    return { cells, notYet, network: { profile: name, summary, stopped, facts, link: emulated } };
  });
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
    const run = await runCell({
      profile,
      kind,
      client,
      peer,
      room: `${kind}-${String(number)}`,
      watchMs: watched,
      setFirewall: lab.setFirewall,
    });
    runs.push(run);
    progress({ type: 'run', profile, client: kind, run });
  }
  await client.close();
  await capture?.stop();
  if (edge.errors.length > 0) throw new Error(`the edge logged errors: ${edge.errors.join('\n')}`);
  return runs;
}
