/** `npm run bench -- <name> [--runs 5 | --quick] [--soak 10] [--compare old.json]`: runs one benchmark (or all), prints its table and keeps its result files. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { benches, type BenchName } from './benches.ts';
import { compareResults, formatComparison } from './harness/compare.ts';
import { resultFile, writeResultFile, type ResultFile } from './harness/result-file.ts';
import { writeHtmlReport } from './harness/report-html.ts';
import { formatTable } from './harness/report-table.ts';

const resultsFolder = 'bench/results';
const usage = `Usage: npm run bench -- <name> [--runs N] [--soak S] [--clients N] [--outage S] [--only a,b] [--compare old.json]

  <name>    ${[...Object.keys(benches), 'all'].join(', ')}
  --runs N  counted runs per figure, after one warm-up (default 5); the table gives median and spread
  --quick   one counted run: says whether it works, and roughly what comes of it
  --soak S  seconds over which the heap must not grow, where a bench looks at that (default 10)
  --clients N   clients of cluster (default 200); its target is meant for the default
  --outage S    seconds for which cluster's directory is away (default 60)
  --only a,b    parts of join, page and sfu alone
  --compare old.json  says what became worse or better than in this earlier file; exits with 1 if anything is worse
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
  // Read before anything runs, for the run writes over the file of the same name.
  const earlier =
    values.compare === undefined ? null : (JSON.parse(readFileSync(values.compare, 'utf8')) as ResultFile);
  const names = name === 'all' ? (Object.keys(benches) as BenchName[]) : [name as BenchName];
  for (const each of names) {
    const figures = await benches[each]({
      runs,
      soakSeconds,
      clients,
      outageSeconds,
      only: values.only?.split(',') ?? null,
      progress: (text) => process.stderr.write(`${each}: ${text}\n`),
    });
    const result = resultFile(each, figures);
    const file = writeResultFile(resultsFolder, result);
    const page = writeHtmlReport(resultsFolder, result);
    process.stdout.write(`${formatTable(result)}\nwritten: ${file}, ${page}\n\n`);
    if (earlier?.bench !== each) continue;
    process.stdout.write(`${formatComparison(earlier, result)}\n`);
    if (compareResults(earlier, result).some(({ verdict }) => verdict === 'worse')) process.exitCode = 1;
  }
}

await main();
