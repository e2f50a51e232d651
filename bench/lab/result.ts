/** What a run of the lab leaves: `bench/results/lab.json`. */
import type { RungAttempt } from '../../client/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { figure, resultFile, type Figure, type ResultFile } from '../harness/result-file.ts';
import { percentile, summarize } from '../harness/statistics.ts';
import type { CellRun } from './cell.ts';
import type { DirectionCounters } from './link/direction.ts';
import type { ClientKind, Profile } from './profile.ts';

/** A cell of the matrix. Of several runs, the fields are those of the one that tells most: a red one, or the median. */
export interface LabCell {
  readonly profile: string;
  readonly client: ClientKind;
  readonly ok: boolean;
  readonly rung: Rung | null;
  readonly joinMs: number | null;
  /** Over all green runs; null without any. */
  readonly joinP50Ms: number | null;
  readonly joinP95Ms: number | null;
  readonly lost: number;
  readonly received: number;
  readonly gapMs: number | null;
  readonly attempts: readonly RungAttempt[];
  readonly problem: string | null;
  readonly runs: readonly CellRun[];
  /** It was red, and green when it was run again, alone on the machine: the first of `runs` are those before. */
  readonly confirmed: boolean;
  readonly refusal: string | null;
}

/** How a profile's network behaved, so that a profile that did nothing is seen. */
export interface LabNetwork {
  readonly profile: string;
  readonly summary: string;
  /** Packets that the firewall dropped or rejected. */
  readonly stopped: number;
  /** What the program on the router says that it did; empty without one. */
  readonly facts: readonly string[];
  /** Of the emulated link; null with a plain wire. */
  readonly link: { readonly up: DirectionCounters; readonly down: DirectionCounters } | null;
}

/** A cell that is declared impossible so far. */
export interface CellNotYet {
  readonly profile: string;
  readonly client: ClientKind;
  readonly reason: string;
}

export interface LabResult extends ResultFile {
  readonly cells: readonly LabCell[];
  readonly networks: readonly LabNetwork[];
  readonly notYet: readonly CellNotYet[];
}

/** @param again The runs that were made because some of the first were red; they decide. */
export function labCell(
  profile: Profile,
  client: ClientKind,
  first: readonly CellRun[],
  again: readonly CellRun[] = [],
): LabCell {
  const decisive = again.length > 0 ? again : first;
  const runs = [...first, ...again];
  const byTime = [...decisive].sort((a, b) => (a.joinMs ?? Infinity) - (b.joinMs ?? Infinity));
  const telling = decisive.find(({ ok }) => !ok) ?? byTime[Math.floor((byTime.length - 1) / 2)];
  if (telling === undefined) throw new RangeError('a cell without a run');
  const { rung, joinMs, refusal, lost, received, gapMs, attempts, problem } = telling;
  const ok = decisive.every((run) => run.ok);
  const times = runs.flatMap((run) => (run.ok ? (run.joinMs ?? []) : [])).sort((a, b) => a - b);
  const at = (share: number): number | null => (times.length === 0 ? null : Math.round(percentile(times, share)));
  return {
    ...{ profile: profile.name, client, ok, rung, joinMs, joinP50Ms: at(0.5), joinP95Ms: at(0.95), refusal },
    ...{ lost, received, gapMs, attempts, problem, confirmed: again.length > 0 && ok, runs },
  };
}

export function labResult(
  cells: readonly LabCell[],
  networks: readonly LabNetwork[],
  notYet: readonly CellNotYet[] = [],
): LabResult {
  return { ...resultFile('lab', cells.flatMap(figuresOf)), cells, networks, notYet };
}

function figuresOf({ profile, client, runs }: LabCell): readonly Figure[] {
  const times = runs.flatMap(({ ok, rung, joinMs }) => (ok && rung !== null ? (joinMs ?? []) : []));
  return times.length === 0 ? [] : [figure(`lab.${profile}.${client}.join_ms`, 'ms', summarize(times))];
}
