/** The edge of the lab: the real program in a process of its own, as an operator runs it, on ports 443 and 3478. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Lab } from './namespaces.ts';
import { edgeAddress, labEnvironment } from './namespaces.ts';

const program = fileURLToPath(new URL('../../gateway/cli/main.js', import.meta.url));
const patienceMs = 20_000;

export interface LabEdge {
  readonly url: string;
  /** SPKI pin of its self-signed certificate, for Chromium. */
  readonly pin: string;
  /** What it has written to its log at level `error` or above. */
  readonly errors: readonly string[];
}

/** Resolves when it serves. It ends with the lab. */
export async function startLabEdge(lab: Lab, environment: Readonly<Record<string, string>> = {}): Promise<LabEdge> {
  const own = {
    SALLYPORT_PORT: '443',
    SALLYPORT_HOST: '0.0.0.0',
    SALLYPORT_AUTH: 'open',
    SALLYPORT_DATA_DIR: path.join(lab.folder, 'edge'),
    SALLYPORT_LOG_LEVEL: 'error',
  };
  const child = lab.edge.spawn([process.execPath, program, 'start'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...labEnvironment(), ...own, ...environment },
  });
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('the edge has no pipes');
  const errors: string[] = [];
  stderr
    .setEncoding('utf8')
    .on('data', (text: string) => errors.push(...text.split('\n').filter((line) => line !== '')));
  const pin = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error('the edge did not start in time'));
    }, patienceMs);
    child.once('exit', () => {
      clearTimeout(timer);
      reject(new Error(`the edge ended: ${errors.join('\n')}`));
    });
    let banner = '';
    stdout.setEncoding('utf8').on('data', (text: string) => {
      banner += text;
      const found = /^\s*pin\s+(\S+)$/m.exec(banner)?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    });
  });
  return { url: `https://${edgeAddress}`, pin, errors };
}
