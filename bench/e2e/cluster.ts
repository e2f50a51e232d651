/** Edges, SFU nodes and a directory as so many processes on this machine, any of which can be killed. */
import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { clusterSecrets, startSfuNode, type SfuNodeProcess } from './sfu-node.ts';

export interface EdgeProcess {
  readonly id: string;
  readonly url: string;
  readonly adminPort: number;
  readonly logged: readonly string[];
  readonly running: boolean;
  metrics(): Promise<string>;
  drain(): Promise<void>;
  end(signal?: NodeJS.Signals): Promise<void>;
}

export interface RedisProcess {
  readonly url: string;
  /** Sessions that are written in it. */
  countSessions(): Promise<number>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export interface TestCluster {
  readonly redis: RedisProcess;
  /** All that were started, in the order in which they were ready. */
  readonly nodes: SfuNodeProcess[];
  readonly edges: EdgeProcess[];
  startEdge(id: string): Promise<EdgeProcess>;
  startNode(id: string): Promise<SfuNodeProcess>;
  close(): Promise<void>;
}

export interface ClusterSize {
  readonly edges: number;
  readonly nodes: number;
  readonly environment?: Readonly<Record<string, string>>;
}

const execute = promisify(execFile);
const program = fileURLToPath(new URL('../../gateway/cli/main.js', import.meta.url));

/** A sentence where there is no redis-server; under CI that is an error. */
export function clusterMissing(): string | false {
  if (spawnSync('redis-server', ['--version']).status === 0) return false;
  if (process.env['CI'] !== undefined) throw new Error('redis-server is not installed');
  return 'redis-server is not installed';
}

export async function startCluster({ edges, nodes, environment = {} }: ClusterSize): Promise<TestCluster> {
  const redis = await startRedis();
  const settings = { SALLYPORT_REDIS_URL: redis.url, ...environment };
  const cluster: TestCluster = {
    redis,
    nodes: [],
    edges: [],
    startEdge: async (id) => {
      const edge = await startEdgeProcess(id, settings);
      cluster.edges.push(edge);
      return edge;
    },
    startNode: async (id) => {
      const node = await startSfuNode(settings, id);
      cluster.nodes.push(node);
      return node;
    },
    close: async () => {
      await Promise.all([...cluster.edges, ...cluster.nodes].map((process) => process.end('SIGKILL')));
      await redis.stop();
    },
  };
  try {
    await Promise.all(Array.from({ length: nodes }, (_, i) => cluster.startNode(`node${String(i + 1)}`)));
    await Promise.all(Array.from({ length: edges }, (_, i) => cluster.startEdge(`edge${String(i + 1)}`)));
    await Promise.all(cluster.edges.map((edge) => knowsOthers(edge, edges - 1)));
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}

export async function startEdgeProcess(
  id: string,
  environment: Readonly<Record<string, string>>,
): Promise<EdgeProcess> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-edge-'));
  const [port, adminPort] = await Promise.all([freePort(), freePort()]);
  const child = spawn(process.execPath, [program, 'start'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SALLYPORT_'))),
      SALLYPORT_HOST: '127.0.0.1',
      SALLYPORT_PORT: String(port),
      SALLYPORT_ADMIN_PORT: String(adminPort),
      SALLYPORT_TURN_UDP_PORT: '0',
      SALLYPORT_AUTH: 'open',
      SALLYPORT_EDGE_ID: id,
      SALLYPORT_DATA_DIR: folder,
      ...clusterSecrets,
      ...environment,
    },
  });
  const logged: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => logged.push(line));
  const exited = once(child, 'exit').then(() => rm(folder, { recursive: true, force: true }));
  await ready(child, adminPort, logged);
  return {
    id,
    url: `https://127.0.0.1:${String(port)}`,
    adminPort,
    logged,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    metrics: async () => (await fetch(`http://127.0.0.1:${String(adminPort)}/metrics`)).text(),
    drain: async () => {
      await fetch(`http://127.0.0.1:${String(adminPort)}/drain`, { method: 'POST' });
    },
    end: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await exited;
    },
  };
}

async function ready(child: ChildProcess, adminPort: number, logged: readonly string[]): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    try {
      const { ok } = await fetch(`http://127.0.0.1:${String(adminPort)}/readyz`);
      if (ok) return;
    } catch {
      // It does not listen yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the edge ended:\n${logged.join('\n')}`);
}

/** Until the edge has read of so many others: clients that join before are not told of them. */
async function knowsOthers(edge: EdgeProcess, count: number): Promise<void> {
  const told = `sallyport_directory_edges ${String(count)}\n`;
  while (!(await edge.metrics()).includes(told)) await new Promise((resolve) => setTimeout(resolve, 50));
}

async function startRedis(): Promise<RedisProcess> {
  const port = await freePort();
  let child: ChildProcess | null = null;
  const redis: RedisProcess = {
    url: `redis://127.0.0.1:${String(port)}`,
    countSessions: async () => {
      const scan = ['-p', String(port), '--scan', '--pattern', 'sallyport:session:*'];
      const { stdout } = await execute('redis-cli', scan);
      return stdout.split('\n').filter((line) => line !== '').length;
    },
    stop: async () => {
      const running = child;
      child = null;
      if (running === null || running.exitCode !== null || running.signalCode !== null) return;
      const exited = once(running, 'exit');
      running.kill('SIGKILL');
      await exited;
    },
    start: async () => {
      const started = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', ''], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
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
  await redis.start();
  return redis;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
