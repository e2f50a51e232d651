/** The result files that dashboards and comparisons read: `bench/results/<name>.json`. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { summarize, type Summary } from './statistics.ts';

export interface Figure {
  /** Stable, lower-case, dotted: `tunnel.websocket.100.cpu_us`. */
  readonly id: string;
  readonly value: number;
  readonly unit: string;
  readonly spread: readonly [number, number];
  /** What the figure is compared with, measured in the same run. */
  readonly against?: { readonly name: string; readonly value: number };
  /** Ours divided by theirs. */
  readonly ratio?: number;
  /** What lies below 0 %, 5 %, … 100 % of all that was measured, medians of the runs: the report draws it. */
  readonly distribution?: readonly number[];
}

export interface ResultFile {
  readonly bench: string;
  readonly commit: string;
  /** ISO 8601, UTC. */
  readonly when: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly kernel: string; readonly node: string };
  readonly figures: readonly Figure[];
}

export function figure(id: string, unit: string, summary: Summary): Figure {
  return { id, unit, value: round(summary.median), spread: [round(summary.spread[0]), round(summary.spread[1])] };
}

/** Adds what the figure is measured against; both must come from the same run. */
export function against(ours: Figure, name: string, theirs: Summary): Figure {
  return { ...ours, against: { name, value: round(theirs.median) }, ratio: round(ours.value / theirs.median) };
}

/** Adds the curve of what the figure is a single point of; a list for each run. */
export function distributed(ours: Figure, runs: readonly (readonly number[])[]): Figure {
  const distribution = (runs[0] ?? []).map((_, step) => round(summarize(runs.map((run) => run[step] ?? 0)).median));
  return { ...ours, distribution };
}

export function resultFile(bench: string, figures: readonly Figure[]): ResultFile {
  const processors = cpus();
  return {
    bench,
    commit: currentCommit(),
    when: new Date().toISOString(),
    machine: {
      cpu: processors[0]?.model ?? 'unknown',
      cores: processors.length,
      kernel: release(),
      node: process.version,
    },
    figures,
  };
}

/** Writes `<folder>/<bench>.json` and returns its path. */
export function writeResultFile(folder: string, result: ResultFile): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${result.bench}.json`);
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  return file;
}

function currentCommit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

/** Three significant digits, but never less than whole numbers: more would pretend to a precision that runs lack. */
function round(value: number): number {
  return Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
}
