/** Packet captures of the lab's router, by tcpdump. */
import { once } from 'node:events';
import type { Lab } from './namespaces.ts';

const patienceMs = 5_000;

export interface Capture {
  readonly file: string;
  /** Writes what is still held back. */
  stop(): Promise<void>;
}

/** Everything on the client's side of the firewall, before it decides. Resolves when tcpdump listens. */
export async function startCapture(lab: Lab, file: string): Promise<Capture> {
  const child = lab.router.spawn(
    ['tcpdump', '-i', 'inside', '-n', '-U', '--immediate-mode', '-Z', 'root', '-w', file],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const { stderr } = child;
  if (stderr === null) throw new Error('tcpdump has no pipe');
  stderr.setEncoding('utf8');
  const ended = once(child, 'exit');
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`tcpdump did not start: ${said.trim()}`));
    }, patienceMs);
    const fail = (): void => {
      clearTimeout(timer);
      reject(new Error(`tcpdump ended: ${said.trim()} (Debian package tcpdump)`));
    };
    child.once('exit', fail);
    stderr.on('data', (text: string) => {
      said += text;
      if (!said.includes('listening on')) return;
      clearTimeout(timer);
      child.off('exit', fail);
      resolve();
    });
  });
  return {
    file,
    stop: async () => {
      child.kill('SIGINT');
      await ended;
    },
  };
}
