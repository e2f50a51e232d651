/** A real SFU node in a process of its own, as `npx sallyport sfu` starts it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const clusterSecrets = {
  SALLYPORT_SECRET: 'a secret of tests, with more than thirty-two bytes',
  SALLYPORT_CLUSTER_SECRET: 'the secret of a cluster of tests, with more than thirty-two bytes',
} as const;

export interface SfuNodeProcess {
  readonly id: string;
  readonly pid: number;
  readonly trunkPort: number;
  readonly udpPort: number;
  readonly adminPort: number;
  /** Lines of its log. */
  readonly logged: readonly string[];
  readonly running: boolean;
  metrics(): Promise<string>;
  /** SIGTERM unless said otherwise; resolves when the process is gone. Idempotent. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

const program = fileURLToPath(new URL('../../gateway/cli/main.js', import.meta.url));
const announcement = /^SFU node (\S+): trunks on TCP (\d+), media on UDP (\d+), metrics on (\d+)$/;

/** `within`: a command that executes what stands behind it, in the same process, such as `unshare`. */
export async function startSfuNode(
  environment: Readonly<Record<string, string>> = {},
  id = 'node1',
  within: readonly string[] = [],
): Promise<SfuNodeProcess> {
  const [command, ...parameters] = [...within, process.execPath, program, 'sfu'];
  const child = spawn(command, parameters, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SALLYPORT_'))),
      SALLYPORT_HOST: '127.0.0.1',
      SALLYPORT_TRUNK_HOST: '127.0.0.1',
      SALLYPORT_TRUNK_PORT: '0',
      SALLYPORT_UDP_PORT: '0',
      SALLYPORT_ADMIN_PORT: '0',
      SALLYPORT_EDGE_ID: id,
      ...clusterSecrets,
      ...environment,
    },
  });
  const logged: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => logged.push(line));
  const [, name = '', trunk, udp, admin] = await announced(child, logged);
  const exited = once(child, 'exit');
  return {
    id: name,
    pid: child.pid ?? 0,
    trunkPort: Number(trunk),
    udpPort: Number(udp),
    adminPort: Number(admin),
    logged,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${String(admin)}/metrics`)).text(),
    end: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await exited;
    },
  };
}

function announced(
  child: ChildProcess & { stdout: NodeJS.ReadableStream },
  logged: readonly string[],
): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = announcement.exec(line);
      if (found !== null) resolve(found);
    });
    child.once('exit', (code) => {
      reject(new Error(`the SFU node ended with ${String(code)}:\n${logged.join('\n')}`));
    });
  });
}
