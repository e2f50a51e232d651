/** `sallyport doctor`: which rungs work from here, and what would have to be opened. */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { DoctorReport, RungVerdict } from '../../client/index.ts';
import { UsageError, type Command } from './command.ts';
import { readProxy } from './join-arguments.ts';

const lingerMs = 1_500;

const help = `Usage: sallyport doctor <url> [options]

Tries every way on which media can reach an edge from here, one by one, and says what an administrator would have to open.
Ends within 30 seconds. Joins no room that anybody else is in, and needs no token.

  <url>                 address of the edge: https://edge.example, edge.example:8443
  --json                print the report as JSON, and nothing else
  --proxy <url>         go through this HTTP proxy, or "none". Without it, the environment says (HTTPS_PROXY, NO_PROXY)
  --proxy-user <user:password>
                        for proxies that ask who you are
  --ca <file>           trust this authority's certificate too (PEM)
  --help                print this

Any certificate is accepted, so that what is behind an interception can be seen; the report says whose it is.
Exit codes: 0 calls work from here, 1 a mistake in the arguments or a file, 2 they do not.`;

export const doctorCommand: Command = {
  summary: 'find out which rungs work from here, and what an administrator must open',
  help,
  run: async (args) => {
    const code = await runDoctor(args, process.stdout);
    // A network that holds on to connections must not hold on to the program.
    setTimeout(() => process.exit(code), lingerMs).unref();
    return code;
  },
};

export interface DoctorOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

export async function runDoctor(args: readonly string[], out: DoctorOutput): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      proxy: { type: 'string' },
      'proxy-user': { type: 'string' },
      ca: { type: 'string' },
    },
  });
  const [address, ...more] = positionals;
  if (address === undefined) throw new UsageError('say which edge: sallyport doctor https://edge.example');
  if (more.length > 0) throw new UsageError(`only one address can be looked at; "${more.join(' ')}" is too much`);
  const proxy = readProxy(values.proxy, values['proxy-user']);
  const ca = values.ca === undefined ? undefined : await readText(values.ca);
  const { ClientError, diagnose } = await import('../../client/index.ts');
  const line = (text: string): void => {
    if (!values.json) out.write(`${text}\n`);
  };
  try {
    const report = await diagnose(address.includes('://') ? address : `https://${address}`, {
      ...(proxy === undefined ? {} : { proxy }),
      ...(ca === undefined ? {} : { ca }),
      onProgress: (what) => {
        line(`… ${what}`);
      },
      onVerdict: (verdict) => {
        line(describeVerdict(verdict));
      },
    });
    out.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
    return report.rungs.some(({ outcome }) => outcome === 'works') ? 0 : 2;
  } catch (error) {
    if (error instanceof ClientError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

function reportText(report: DoctorReport): string {
  const rule = '-'.repeat(72);
  return ['', 'For the administrator of this network:', rule, report.advice, rule, ''].join('\n');
}

const marks = { works: '✓', blocked: '✗', 'not-offered': '–', untested: '?' } as const;

export function describeVerdict(verdict: RungVerdict): string {
  const { rung, outcome, joinMs, latencyMs, bitsPerSecond, lossFraction, detail } = verdict;
  const name = `${marks[outcome]} ${rung.padEnd(12)}`;
  if (outcome !== 'works') return `${name} ${outcome}${detail === null ? '' : `: ${detail}`}`;
  const figures = [
    `${String(joinMs ?? 0)} ms to connect`,
    `${(latencyMs ?? 0).toFixed(1)} ms there and back`,
    `${((bitsPerSecond ?? 0) / 1e6).toFixed(2)} Mbit/s`,
    `${((lossFraction ?? 0) * 100).toFixed(1)} % lost`,
  ];
  return `${name} works: ${figures.join(', ')}`;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--ca ${file}: ${(error as Error).message}`);
  }
}
