/**
 * `npm run bench -- <name> [--runs 5 | --quick] [--soak 10] [--compare old | --twice]`: runs one benchmark (or all), prints its
 * table and keeps its result files.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { benches, type BenchName } from './benches.ts';
import { compareResults, formatComparison, type Verdict } from './harness/compare.ts';
import { resultFile, writeResultFile, type ResultFile } from './harness/result-file.ts';
import { writeHtmlReport } from './harness/report-html.ts';
import { formatTable } from './harness/report-table.ts';

const resultsFolder = 'bench/results';
const usage = `Usage: npm run bench -- <name> [--runs N] [--soak S] [--clients N] [--outage S] [--only a,b] [--compare old | --twice]

  <name>    ${[...Object.keys(benches), 'all'].join(', ')}
  --runs N  counted runs per figure, after one warm-up (default 5); the table gives median and spread
  --quick   one counted run: says whether it works, and roughly what comes of it
  --soak S  seconds over which the heap must not grow, where a bench looks at that (default 10)
  --clients N   clients of cluster (default 200); its target is meant for the default
  --outage S    seconds for which cluster's directory is away (default 60)
  --only a,b    parts of join, page and sfu alone
  --compare old   says what became worse or better than in this earlier file, or the files of this folder; exits with 1
                  if anything is worse
  --twice         measures all once more, and exits with 1 if a figure changed by more than the spread of its runs
`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '5' },
      quick: { type: 'boolean', default: false },
      soak: { type: 'string', default: '10' },
      clients: { type: 'string' },
      outage: { type: 'string', default: '60' },
      only: { type: 'string' },
      compare: { type: 'string' },
      twice: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const name = positionals[0];
  const runs = values.quick ? 1 : Number(values.runs);
  const soakSeconds = Number(values.soak);
  const clients = values.clients === undefined ? null : Number(values.clients);
  const outageSeconds = Number(values.outage);
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  const isCount = (value: number): boolean => Number.isInteger(value) && value >= 1;
  const areCounts = [runs, soakSeconds, outageSeconds, clients ?? 1].every(isCount);
  if (name === undefined || !(name === 'all' || name in benches) || !areCounts) {
    process.stderr.write(usage);
    process.exitCode = 1;
    return;
  }
  const names = name === 'all' ? (Object.keys(benches) as BenchName[]) : [name as BenchName];
  // Read before anything runs, for the run writes over the file of the same name.
  const earlier = values.compare === undefined ? [] : readResults(values.compare, names);
  const measure = async (each: BenchName): Promise<ResultFile> => {
    const figures = await benches[each]({
      runs,
      soakSeconds,
      clients,
      outageSeconds,
      only: values.only?.split(',') ?? null,
      progress: (text) => process.stderr.write(`${each}: ${text}\n`),
    });
    return resultFile(each, figures);
  };
  for (const each of names) {
    const result = await measure(each);
    const file = writeResultFile(resultsFolder, result);
    const page = writeHtmlReport(resultsFolder, result);
    process.stdout.write(`${formatTable(result)}\nwritten: ${file}, ${page}\n\n`);
    const before = earlier.find(({ bench }) => bench === each);
    if (before !== undefined && compare(before, result).includes('worse')) process.exitCode = 1;
    if (!values.twice) continue;
    const verdicts = compare(result, await measure(each));
    if (verdicts.some((verdict) => verdict !== 'within the spread')) process.exitCode = 1;
  }
}

/** Says what is different. */
function compare(before: ResultFile, after: ResultFile): readonly Verdict[] {
  process.stdout.write(`${formatComparison(before, after)}\n`);
  return compareResults(before, after).map(({ verdict }) => verdict);
}

/** Of a file, or of those in a folder that have these names. Throws what reading them throws. */
function readResults(place: string, names: readonly BenchName[]): readonly ResultFile[] {
  const files = statSync(place).isDirectory()
    ? names.map((name) => path.join(place, `${name}.json`)).filter((file) => existsSync(file))
    : [place];
  return files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as ResultFile);
}

await main();
