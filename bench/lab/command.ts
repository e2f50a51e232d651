/** Runs the system's own programs. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Standard output. Rejects with what the program wrote to standard error. */
export async function runCommand(command: readonly string[], input = ''): Promise<string> {
  const [program = '', ...args] = command;
  const running = execute(program, args, { maxBuffer: 16_000_000 });
  // A program that ends without reading says why itself.
  running.child.stdin?.on('error', () => undefined);
  running.child.stdin?.end(input);
  try {
    return (await running).stdout;
  } catch (error) {
    const { stderr = '', message } = error as Error & { readonly stderr?: string };
    throw new Error(`${command.join(' ')}: ${stderr.trim() === '' ? message : stderr.trim()}`);
  }
}
