/**
 * `node dist/bench/regress/main.js [commit]`: is a packet dearer than it was at an earlier commit, by default the one
 * before? Both builds serve the same load, in turn, and only ratios count. What is 15 % dearer is measured once more, by
 * new processes; if it is dearer again, this ends with 1.
 */
import { buildCommit, differsFrom, findCommit } from './build-before.ts';
import { compete, disciplines, Incomparable, type Discipline, type Verdict } from './contest.ts';

const maxRatio = 1.15;
const present = new URL('../../', import.meta.url);

async function main(): Promise<number> {
  const revision = process.argv[2] ?? 'HEAD^';
  const commit = await findCommit(revision);
  if (commit === null) {
    print(`regress: there is no ${revision} here, so there is nothing to compare with (a shallow clone?)`);
    return process.argv[2] === undefined ? 0 : 1;
  }
  if (!(await differsFrom(commit))) {
    print(`regress: nothing that a packet passes differs from ${commit.slice(0, 10)}`);
    return 0;
  }
  print(`regress: building ${commit.slice(0, 10)}`);
  const earlier = await buildCommit(commit);
  try {
    let dearer = 0;
    for (const discipline of disciplines) if (await isDearer(discipline, earlier.dist)) dearer++;
    if (dearer > 0) print(`regress: FAILED: ${String(dearer)} of ${String(disciplines.length)} became dearer, twice`);
    return dearer > 0 ? 1 : 0;
  } finally {
    await earlier.remove();
  }
}

/** Twice: one bad run is noise. */
async function isDearer(discipline: Discipline, earlier: URL): Promise<boolean> {
  try {
    for (let run = 1; run <= 2; run++) {
      const verdict = await compete(discipline, earlier, present);
      print(describe(verdict));
      if (verdict.ratio <= maxRatio) return false;
      print(`regress: ${verdict.name}: dearer by more than ${percent(maxRatio)}${run === 1 ? '; once more' : ''}`);
    }
    return true;
  } catch (error) {
    if (!(error instanceof Incomparable)) throw error;
    print(`regress: ${discipline.name}: the earlier build does not know this load: ${error.message}`);
    return false;
  }
}

function describe({ name, before, after, ratio, spread }: Verdict): string {
  const [least, most] = spread.map((value) => value.toFixed(2));
  const costs = `${before.toFixed(2)} µs before, ${after.toFixed(2)} µs now`;
  return `regress: ${name}: ${costs}, ratio ${ratio.toFixed(2)} (pairs from ${String(least)} to ${String(most)})`;
}

function percent(ratio: number): string {
  return `${((ratio - 1) * 100).toFixed(0)} %`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main();
