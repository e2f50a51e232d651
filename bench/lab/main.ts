/** `npm run lab`: every network × every client, in namespaces of this machine. Exits with 1 on a red cell. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { writeResultFile } from '../harness/result-file.ts';
import { missingNeed } from './lab-missing.ts';
import { labPage } from './matrix-html.ts';
import { formatMatrix, formatRun } from './matrix-table.ts';
import { clientKinds, type ClientKind, type Profile } from './profile.ts';
import { profiles } from './profiles/index.ts';
import { labResult } from './result.ts';
import { runLab, type ProgressEvent } from './run-lab.ts';

const resultsFolder = 'bench/results';
const defaultWatchSeconds = 5;
const defaultJobs = cpus().length;
const usage = `Usage: npm run lab -- [options]

Builds real networks of namespaces on this machine (root is needed), one per profile, and lets real clients join a
call through them. Prints the matrix, writes ${resultsFolder}/lab.json and lab.html. Exits with 1 if a cell is red.

  --profile a,b       only these (see --list); all if absent
  --client c          only ${clientKinds.join(' or ')}; both if absent
  --repeat N          runs of each cell (default 1); the table gives p50 and p95
  --jobs N            so many networks at once (default ${String(defaultJobs)} here: one per processor)
  --confirm           runs a red cell once more in the end, alone; it is red if it is red again
  --watch SECONDS     how long media is watched once it flows (default ${String(defaultWatchSeconds)})
  --pcap              captures what the client sends and gets: ${resultsFolder}/lab-<profile>-<client>.pcap (needs tcpdump)
  --list              prints the profiles and ends
  --help              this text
`;

class UsageError extends Error {}

interface Command {
  readonly profiles: readonly Profile[];
  readonly clients: readonly ClientKind[];
  readonly repeat: number;
  readonly jobs: number;
  readonly confirm: boolean;
  readonly watchMs: number;
  readonly pcap: boolean;
}

/** Null when there is nothing to run. Throws UsageError. */
function readCommand(): Command | null {
  const { values } = parseArgs({
    options: {
      profile: { type: 'string', multiple: true },
      client: { type: 'string', multiple: true },
      repeat: { type: 'string', default: '1' },
      jobs: { type: 'string', default: String(defaultJobs) },
      confirm: { type: 'boolean', default: false },
      watch: { type: 'string', default: String(defaultWatchSeconds) },
      pcap: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return null;
  }
  if (values.list) {
    const width = Math.max(...profiles.map(({ name }) => name.length));
    for (const { name, summary } of profiles) process.stdout.write(`${name.padEnd(width)}  ${summary}\n`);
    return null;
  }
  const repeat = Number(values.repeat);
  const jobs = Number(values.jobs);
  const watchSeconds = Number(values.watch);
  if (!Number.isInteger(repeat) || repeat < 1) throw new UsageError('--repeat takes a whole number from 1');
  if (!Number.isInteger(jobs) || jobs < 1) throw new UsageError('--jobs takes a whole number from 1');
  if (!(watchSeconds > 0 && watchSeconds <= 600)) throw new UsageError('--watch takes seconds, up to 600');
  return {
    profiles: choose(values.profile, profiles, ({ name }) => name, 'profile'),
    clients: choose(values.client, clientKinds, (kind) => kind, 'client'),
    repeat,
    jobs,
    confirm: values.confirm,
    watchMs: watchSeconds * 1_000,
    pcap: values.pcap,
  };
}

function choose<T>(
  given: readonly string[] | undefined,
  all: readonly T[],
  nameOf: (each: T) => string,
  what: string,
): readonly T[] {
  const names = (given ?? []).flatMap((text) => text.split(',')).filter((name) => name !== '');
  const unknown = names.filter((name) => !all.some((each) => nameOf(each) === name));
  if (unknown.length > 0) {
    throw new UsageError(`there is no ${what} ${unknown.join(', ')}; there are ${all.map(nameOf).join(', ')}`);
  }
  return names.length === 0 ? all : all.filter((each) => names.includes(nameOf(each)));
}

function showProgress(event: ProgressEvent): void {
  const line = (...words: readonly string[]): void => void process.stderr.write(`${words.join(' ')}\n`);
  switch (event.type) {
    case 'network':
      line(`${event.profile.name}:`, event.profile.summary);
      return;
    case 'not-yet':
      line(`${event.profile.name}: ${event.client}: not yet possible:`, event.reason);
      return;
    case 'broken':
      line(`${event.profile.name}: the network did not come up, once more later:`, event.reason);
      return;
    case 'again':
      line(`${event.profile.name}: ${event.client}: was red, once more, alone`);
      return;
    case 'run':
      line(`${event.profile.name}: ${event.client}:`, formatRun(event.run));
  }
}

async function main(): Promise<void> {
  const command = readCommand();
  if (command === null) return;
  const missing = missingNeed(command.profiles.flatMap(({ programs = [] }) => programs));
  if (missing !== false) throw new UsageError(`the lab cannot run here: ${missing}`);
  mkdirSync(resultsFolder, { recursive: true });
  const { pcap, ...rest } = command;
  const run = await runLab({ ...rest, captureFolder: pcap ? resultsFolder : null, progress: showProgress });
  const result = labResult(run.cells, run.networks, run.notYet);
  const file = writeResultFile(resultsFolder, result);
  const page = path.join(resultsFolder, 'lab.html');
  writeFileSync(page, labPage(result));
  process.stdout.write(`\n${formatMatrix(result.cells, result.notYet)}\nwritten: ${file}, ${page}\n`);
  if (result.cells.some(({ ok }) => !ok)) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  const isMistyped = (error as { readonly code?: unknown }).code?.toString().startsWith('ERR_PARSE_ARGS') === true;
  if (!isMistyped && !(error instanceof UsageError)) throw error;
  process.stderr.write(`npm run lab: ${(error as Error).message}\nSee: npm run lab -- --help\n`);
  process.exitCode = 1;
}
