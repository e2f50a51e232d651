/** Debian's coturn: the server that ours is measured against, and its client and peer, which load both alike. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoadCredentials } from './load-client.ts';

const host = '127.0.0.1';
const startTimeoutMs = 10_000;

export interface CoturnServer {
  readonly pid: number;
  readonly version: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly credentials: LoadCredentials;
  close(): Promise<void>;
}

/** What is missing on this machine, or null. */
export function coturnMissing(): string | null {
  const programs = ['turnserver', 'turnutils_uclient', 'turnutils_peer', 'openssl', 'taskset'];
  const missing = programs.filter((program) => !existsSync(`/usr/bin/${program}`));
  return missing.length === 0 ? null : `not installed: ${missing.join(', ')}`;
}

/** One relay thread, as Node has one; pinned to a core if one is named. */
export async function startCoturn(core?: number): Promise<CoturnServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-coturn-'));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  const subject = ['-days', '2', '-subj', '/CN=localhost'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-nodes', '-keyout', key, '-out', cert, ...subject], {
    stdio: 'ignore',
  });
  const port = await freeTcpPort();
  const tlsPort = await freeTcpPort();
  const options = [
    ...['-n', '-L', host, '-E', host, '-p', String(port), '--tls-listening-port', String(tlsPort)],
    ...['--cert', cert, '--pkey', key, '-a', '-u', 'u:p', '-r', 'bench', '--allow-loopback-peers', '--no-cli'],
    ...['-m', '1', '--log-file=/dev/null', '--no-stdout-log', '--pidfile', join(folder, 'pid')],
  ];
  const pinned = core === undefined ? [] : ['taskset', '-c', String(core)];
  const [program = '', ...words] = [...pinned, 'turnserver', ...options];
  const child = spawn(program, words, { stdio: 'ignore' });
  const close = async (): Promise<void> => {
    await end(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await listening(tlsPort, child);
  } catch (error) {
    await close();
    throw error;
  }
  const version = `coturn ${execFileSync('turnserver', ['--version'], { encoding: 'utf8' }).trim().split('\n')[0] ?? ''}`;
  return { pid: child.pid ?? 0, version, port, tlsPort, credentials: { username: 'u', credential: 'p' }, close };
}

/** `turnutils_peer`, which sends back what it gets. Resolves when it answers. */
export async function startPeer(port: number): Promise<{ close(): Promise<void> }> {
  const child = spawn('turnutils_peer', ['-L', host, '-p', String(port)], { stdio: 'ignore' });
  const probe = createSocket('udp4');
  const answered = once(probe, 'message');
  const knock = setInterval(() => {
    probe.send(Uint8Array.of(0x80), port, host);
  }, 20);
  try {
    await Promise.race([answered, failed(child, 'turnutils_peer')]);
  } finally {
    clearInterval(knock);
    probe.close();
  }
  return { close: () => end(child) };
}

export interface UclientRun {
  readonly sent: number;
  readonly received: number;
}

export interface UclientOptions {
  readonly transport: 'udp' | 'tcp' | 'tls';
  readonly port: number;
  readonly peerPort: number;
  readonly credentials: LoadCredentials;
  readonly clients: number;
  readonly messages: number;
  readonly bytes: number;
  readonly intervalMs: number;
}

/** `turnutils_uclient`; rejects when it does not run to its end. */
export async function runUclient(options: UclientOptions): Promise<UclientRun> {
  const { transport, port, peerPort, credentials, clients, messages, bytes, intervalMs } = options;
  const numbers = { n: messages, m: clients, l: bytes, z: intervalMs, r: peerPort, p: port };
  const child = spawn('turnutils_uclient', [
    ...['-u', credentials.username, '-w', credentials.credential, '-e', host, '-c'],
    ...Object.entries(numbers).flatMap(([flag, value]) => [`-${flag}`, String(value)]),
    ...{ udp: [], tcp: ['-t'], tls: ['-t', '-S'] }[transport],
    host,
  ]);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(child, 'close');
  const last = (name: string): number => Number([...text.matchAll(new RegExp(`${name}=(\\d+)`, 'g'))].at(-1)?.[1]);
  const run = { sent: last('tot_send_msgs'), received: last('tot_recv_msgs') };
  if (child.exitCode !== 0 || Number.isNaN(run.sent))
    throw new Error(`turnutils_uclient ended early: ${text.slice(-500)}`);
  return run;
}

/** A UDP port that is free together with the next one. */
export async function freePeerPorts(): Promise<number> {
  for (;;) {
    const one = createSocket('udp4').bind(0, host);
    await once(one, 'listening');
    const { port } = one.address();
    const two = createSocket('udp4');
    const both =
      port < 65_535 &&
      (await new Promise<boolean>((resolve) => {
        two.once('error', () => {
          resolve(false);
        });
        two.bind(port + 1, host, () => {
          resolve(true);
        });
      }));
    one.close();
    two.close();
    if (both) return port;
  }
}

async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + startTimeoutMs;
  while (!(await connects(port))) {
    if (child.exitCode !== null || performance.now() > deadline) throw new Error('turnserver does not start');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function connects(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

async function failed(child: ChildProcess, name: string): Promise<never> {
  await once(child, 'close');
  throw new Error(`${name} does not start`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}
