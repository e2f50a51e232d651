/** The `sallyport` program: finds the command and runs it. */
import { UsageError, type Command } from './command.ts';
import { packageVersion } from '../package-version.ts';

const commands: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./start.ts')).startCommand,
  sfu: async () => (await import('./sfu.ts')).sfuCommand,
  token: async () => (await import('./token.ts')).tokenCommand,
  join: async () => (await import('./join.ts')).joinCommand,
  agent: async () => (await import('./agent.ts')).agentCommand,
  capacity: async () => (await import('./capacity.ts')).capacityCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
};

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === '--version' || name === '-v') return print(packageVersion());
  if (name === undefined || ['help', '--help', '-h'].includes(name)) {
    return rest[0] === undefined ? print(await overview()) : print((await find(rest[0])).help);
  }
  const command = await find(name);
  return rest.includes('--help') || rest.includes('-h') ? print(command.help) : runCommand(name, command, rest);
}

async function runCommand(name: string, command: Command, args: readonly string[]): Promise<number> {
  try {
    return await command.run(args);
  } catch (error) {
    const code = (error as { readonly code?: unknown }).code;
    const isMistyped = typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS');
    if (!isMistyped && !(error instanceof UsageError)) throw error;
    const hint = isMistyped ? `\nSee: sallyport ${name} --help` : '';
    process.stderr.write(`sallyport ${name}: ${(error as Error).message}${hint}\n`);
    return 1;
  }
}

async function find(name: string): Promise<Command> {
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined) return load();
  throw new UsageError(`there is no command "${name}"; see: sallyport help`);
}

async function overview(): Promise<string> {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = await Promise.all(
    Object.entries(commands).map(async ([name, load]) => `  ${name.padEnd(width)}  ${(await load()).summary}`),
  );
  return [
    'Usage: sallyport <command> [options]',
    '',
    ...lines,
    '',
    'sallyport <command> --help tells more about one; sallyport --version prints the version.',
  ].join('\n');
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`sallyport: ${error.message}\n`);
  process.exitCode = 1;
}
