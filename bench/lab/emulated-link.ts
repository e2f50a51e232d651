/** Starts the link emulator between two namespaces and reads its statistics. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { formatLinkParameters } from './link/parameters.ts';
import type { LinkStatistics } from './link/main.ts';
import { runCommand } from './command.ts';
import type { EmulatedLink, Namespace } from './namespaces.ts';

const program = fileURLToPath(new URL('./link/main.js', import.meta.url));

export interface RunningLink {
  /** Ends it; nothing passes any more. Idempotent. */
  end(): Promise<LinkStatistics>;
}

/** Makes the devices `outside` in the near namespace and `eth0` in the far one, without addresses. */
export async function startLink({
  near,
  far,
  link,
}: {
  near: Namespace;
  far: Namespace;
  link: EmulatedLink;
}): Promise<RunningLink> {
  const child = near.spawn(
    [
      ...[process.execPath, program, '--near', 'outside', '--far', 'eth0', '--seed', String(link.seed ?? 1)],
      ...['--up', formatLinkParameters(link.up), '--down', formatLinkParameters(link.down)],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('the link emulator has no pipes');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('the link emulator ended early');
    return JSON.parse(line.value) as unknown;
  };
  await next();
  await runCommand(['ip', '-n', near.name, 'link', 'set', 'eth0', 'netns', far.name]);
  let ended: Promise<LinkStatistics> | null = null;
  const end = async (): Promise<LinkStatistics> => {
    const exited = once(child, 'exit');
    stdin.end();
    const statistics = (await next()) as LinkStatistics;
    await exited;
    return statistics;
  };
  return { end: () => (ended ??= end()) };
}
