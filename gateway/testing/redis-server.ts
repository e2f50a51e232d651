/** A real redis-server on a free port of the loopback address, which a test can stop and start again, empty. */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** It is gone, with all that it held. */
  stop(): Promise<void>;
  /** On the same port. */
  start(): Promise<void>;
  /** Connections stay, and nothing is answered, as where the network loses all packets. */
  pause(): void;
  resume(): void;
}

/** Null where there is no redis-server; under CI that is an error. */
export function redisMissing(): string | false {
  const found = spawnSync('redis-server', ['--version']).status === 0;
  if (found) return false;
  if (process.env['CI'] !== undefined) throw new Error('redis-server is not installed');
  return 'redis-server is not installed';
}

export interface RedisAccess {
  /** PEM, self-signed. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly user: string;
  readonly password: string;
}

/** With TLS alone, for one user alone. */
export async function startGuardedRedis({ certFile, keyFile, user, password }: RedisAccess): Promise<RedisServer> {
  const port = await freePort();
  const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile];
  const users = ['--user', 'default', 'off', '--user', user, 'on', `>${password}`, '~*', '&*', '+@all'];
  const server = await startRedis(
    '--port',
    '0',
    '--tls-port',
    String(port),
    '--tls-auth-clients',
    'no',
    ...files,
    ...users,
  );
  const url = `rediss://${user}:${encodeURIComponent(password)}@127.0.0.1:${String(port)}`;
  return { ...server, port, url };
}

/** The nodes of one Redis Cluster, each with its share of the slots. */
export async function startRedisCluster(size: number, folder: string): Promise<readonly RedisServer[]> {
  const nodes = await Promise.all(
    Array.from({ length: size }, async (_, i) => {
      const own = ['--dir', folder, '--cluster-config-file', `nodes-${String(i)}.conf`];
      const bus = ['--cluster-port', String(await freePort())];
      return startRedis('--cluster-enabled', 'yes', '--cluster-node-timeout', '2000', ...own, ...bus);
    }),
  );
  const hosts = nodes.map(({ port }) => `127.0.0.1:${String(port)}`);
  await run('redis-cli', ['--cluster', 'create', ...hosts, '--cluster-yes']);
  return nodes;
}

export async function startRedis(...options: readonly string[]): Promise<RedisServer> {
  const port = await freePort();
  let child: ChildProcess | null = null;
  const server: RedisServer = {
    url: `redis://127.0.0.1:${String(port)}`,
    port,
    stop: async () => {
      const running = child;
      child = null;
      if (running === null || running.exitCode !== null || running.signalCode !== null) return;
      const exited = once(running, 'exit');
      running.kill('SIGKILL');
      await exited;
    },
    pause: () => {
      child?.kill('SIGSTOP');
    },
    resume: () => {
      child?.kill('SIGCONT');
    },
    start: async () => {
      const started = spawn(
        'redis-server',
        ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...options],
        { stdio: ['ignore', 'pipe', 'ignore'] },
      );
      child = started;
      await new Promise<void>((resolve, reject) => {
        createInterface({ input: started.stdout }).on('line', (line) => {
          if (line.includes('Ready to accept connections')) resolve();
        });
        started.once('error', reject);
        started.once('exit', (code) => {
          reject(new Error(`redis-server ended with ${String(code)}`));
        });
      });
    },
  };
  await server.start();
  return server;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
