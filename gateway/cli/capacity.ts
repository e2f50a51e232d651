/** `sallyport capacity`: how many edges, cores and disks so many calls need. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { capacityReport } from './capacity-report.ts';
import { UsageError, type Command } from './command.ts';

type Capacity = (typeof import('../../client/index.ts'))['capacity'];

const defaultResults = 'bench/results';

export const capacityCommand: Command = {
  summary: 'plan the capacity that so many calls need',
  help: `Usage: sallyport capacity [--<input> <value>]... [options]

Prints what a service of this size needs, with every formula: calls, requests, bandwidth, recordings, edges, cores, Redis and
telemetry. Without options it is planned for a billion users. What a packet costs is taken from the results of this
machine's own benches where there are any (npm run bench -- all), and otherwise assumed; the plan says which.

  --<input> <value>   changes an input: --calls-per-day 2e6, --high-rate 2Mbit/s/user, --share-udp 90; see --list
  --results <folder>  where the benches' results are (default ${defaultResults})
  --list              prints every input with its unit and default, and ends
  --json              prints the plan as JSON
  --help              this text

The same planner is a page of every edge: https://<edge>/capacity`,
  run: async (args) => {
    const { capacity } = await import('../../client/index.ts');
    process.stdout.write(planText(capacity, args));
    return 0;
  },
};

/** Throws {@link UsageError} with all faults, or what `parseArgs` throws. */
export function planText(capacity: Capacity, args: readonly string[]): string {
  const optionOf = new Map(capacity.inputs.map((input) => [kebab(input.name), input]));
  const { values: given } = parseArgs({
    args: [...args],
    options: {
      ...Object.fromEntries([...optionOf.keys()].map((option) => [option, { type: 'string' as const }])),
      results: { type: 'string', default: defaultResults },
      list: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  if (given.list) {
    const width = Math.max(...[...optionOf.keys()].map((option) => option.length));
    const lines = [...optionOf].map(
      ([option, { value, unit, title }]) => `  --${option.padEnd(width)}  ${String(value)} ${unit}: ${title}`,
    );
    return `${lines.join('\n')}\n`;
  }
  const faults: string[] = [];
  const typed: Record<string, number> = {};
  const texts = given as Readonly<Record<string, unknown>>;
  for (const [option, input] of optionOf) {
    const text = texts[option];
    if (typeof text !== 'string') continue;
    const value = capacity.readValue({ ...input, name: `--${option}` }, text);
    if (typeof value === 'number') typed[input.name] = value;
    else faults.push(value.fault);
  }
  const measured = capacity.measuredInputs(readFigures(given.results));
  const values = { ...measured.values, ...typed };
  faults.push(...capacity.faultsOf(values));
  if (faults.length > 0) {
    const count = faults.length === 1 ? 'a fault' : `${String(faults.length)} faults`;
    throw new UsageError(`the inputs have ${count}:\n${faults.map((fault) => `  ${fault}`).join('\n')}`);
  }
  const sourceOf = (name: string): string => {
    if (name in typed) return 'given';
    const figure = measured.sources[name];
    return figure === undefined ? 'default' : `measured here: ${figure}`;
  };
  const inputs = capacity.inputs.map((input) => ({
    ...input,
    value: values[input.name] ?? input.value,
    source: sourceOf(input.name),
  }));
  const plan = { inputs, lines: capacity.planCapacity(values), sensitivity: capacity.sensitivityOf(values) };
  return given.json ? `${JSON.stringify(plan, null, 2)}\n` : capacityReport(plan);
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Of every result file in the folder; none where there is no folder. A file that is none of a bench counts for nothing. */
function readFigures(folder: string): readonly { readonly id: string; readonly value: number }[] {
  let names: readonly string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    try {
      const { figures } = JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as { figures?: unknown };
      return Array.isArray(figures) ? figures.filter(isFigure) : [];
    } catch {
      return [];
    }
  });
}

function isFigure(each: unknown): each is { readonly id: string; readonly value: number } {
  const { id, value } = (each ?? {}) as Readonly<Record<string, unknown>>;
  return typeof id === 'string' && typeof value === 'number';
}
