/** The proxies that companies run, squid and tinyproxy, each a process of its own with its files in a temporary folder. */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

export interface ProxyServerOptions {
  /** 127.0.0.1 if absent. */
  readonly host?: string;
  /** A free one if absent. */
  readonly port?: number;
  /** What every request must prove. Tinyproxy knows Basic alone. */
  readonly auth?: {
    readonly scheme: 'basic' | 'digest';
    readonly username: string;
    readonly password: string;
    /** Squid's Digest: how often a nonce may be used. */
    readonly nonceUses?: number;
  };
  /** Ports that CONNECT may name; all if absent. */
  readonly connectPorts?: readonly number[];
  /** Words before the command, such as `ip netns exec name`. */
  readonly prefix?: readonly string[];
}

export interface ProxyServer {
  /** `http://127.0.0.1:…` */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Of its requests, as the program itself writes it. Squid's has a line for each that has ended. */
  log(): Promise<string>;
  close(): Promise<void>;
}

const programs = { squid: '/usr/sbin/squid', tinyproxy: '/usr/bin/tinyproxy' };
const helpers = '/usr/lib/squid';
const realm = 'proxy of the lab';
/** Neither program wants to be root, and neither may write anywhere but into its folder. */
const nobody = 65_534;
const maxOutputLength = 100_000;
/** Killed outright, squid leaves its shared memory behind. */
const stopTimeoutMs = 3000;

/** Why tests with these proxies are skipped; false if they are not. Debian packages: squid, tinyproxy. */
export const proxiesMissing: string | false =
  process.env['CI'] === 'true' || Object.values(programs).every((file) => existsSync(file))
    ? false
    : `needs ${Object.values(programs).join(' and ')}`;

export async function startSquid(options: ProxyServerOptions = {}): Promise<ProxyServer> {
  return startProxy('squid', options, async (folder, { host, port }) => {
    const { auth, connectPorts } = options;
    const lines = [
      `http_port ${host.includes(':') ? `[${host}]` : host}:${String(port)}`,
      'pid_filename none',
      `access_log stdio:${folder}/access.log`,
      `cache_log ${folder}/cache.log`,
      `coredump_dir ${folder}`,
      'netdb_filename none',
      'pinger_enable off',
      'cache deny all',
      'memory_cache_shared off',
      'shutdown_lifetime 0 seconds',
      'visible_hostname proxy.test',
      'dns_nameservers 127.0.0.1',
    ];
    if (auth?.scheme === 'basic') {
      const hash = execFileSync('openssl', ['passwd', '-apr1', '-stdin'], { input: auth.password }).toString().trim();
      await writeFile(path.join(folder, 'passwords'), `${auth.username}:${hash}\n`);
      lines.push(
        `auth_param basic program ${helpers}/basic_ncsa_auth ${folder}/passwords`,
        'auth_param basic children 1',
        `auth_param basic realm ${realm}`,
      );
    } else if (auth !== undefined) {
      const ha1 = createHash('md5').update(`${auth.username}:${realm}:${auth.password}`).digest('hex');
      await writeFile(path.join(folder, 'passwords'), `${auth.username}:${realm}:${ha1}\n`);
      lines.push(
        `auth_param digest program ${helpers}/digest_file_auth -c ${folder}/passwords`,
        'auth_param digest children 1',
        `auth_param digest realm ${realm}`,
        `auth_param digest nonce_max_count ${String(auth.nonceUses ?? 50)}`,
      );
    }
    if (connectPorts !== undefined) {
      const ports = connectPorts.map(String).join(' ');
      lines.push(
        `acl allowed_port port ${ports}`,
        'acl tunnel method CONNECT',
        'http_access deny tunnel !allowed_port',
      );
    }
    lines.push(
      ...(auth === undefined ? [] : ['acl known proxy_auth REQUIRED', 'http_access deny !known']),
      'http_access allow all',
    );
    await writeFile(path.join(folder, 'squid.conf'), `${lines.join('\n')}\n`);
    return {
      command: [programs.squid, '-N', '-d', '1', '-n', `lab${String(port)}`, '-f', `${folder}/squid.conf`],
      ready: /Accepting HTTP Socket connections/,
      logFile: `${folder}/access.log`,
    };
  });
}

export async function startTinyproxy(options: ProxyServerOptions = {}): Promise<ProxyServer> {
  return startProxy('tinyproxy', options, async (folder, { host, port }) => {
    const { auth, connectPorts = [] } = options;
    if (auth?.scheme === 'digest') throw new Error('tinyproxy does not know Digest');
    const lines = [
      `Port ${String(port)}`,
      `Listen ${host}`,
      'Timeout 600',
      'MaxClients 100',
      'LogLevel Info',
      ...(auth === undefined ? [] : [`BasicAuth ${auth.username} ${auth.password}`]),
      ...connectPorts.map((allowed) => `ConnectPort ${String(allowed)}`),
    ];
    await writeFile(path.join(folder, 'tinyproxy.conf'), `${lines.join('\n')}\n`);
    return {
      command: [programs.tinyproxy, '-d', '-c', `${folder}/tinyproxy.conf`],
      ready: /Accepting connections/,
      logFile: null,
    };
  });
}

interface Launch {
  readonly command: readonly string[];
  /** The line of its output that says so. */
  readonly ready: RegExp;
  /** Null: its output is the log. */
  readonly logFile: string | null;
}

async function startProxy(
  name: keyof typeof programs,
  options: ProxyServerOptions,
  prepare: (folder: string, at: { readonly host: string; readonly port: number }) => Promise<Launch>,
): Promise<ProxyServer> {
  const host = options.host ?? '127.0.0.1';
  const port = options.port ?? (await freeTcpPort());
  const folder = await mkdtemp(path.join(tmpdir(), `sallyport-${name}-`));
  let child: ChildProcess | null = null;
  const close = async (): Promise<void> => {
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const timer = setTimeout(() => child?.kill('SIGKILL'), stopTimeoutMs);
      child.kill('SIGTERM');
      await once(child, 'exit');
      clearTimeout(timer);
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const { command, ready, logFile } = await prepare(folder, { host, port });
    await chmod(folder, 0o755);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) await chown(folder, nobody, nobody);
    const identity = isRoot ? [`--reuid=${String(nobody)}`, `--regid=${String(nobody)}`, '--clear-groups'] : [];
    // Whatever happens to this process, the proxy ends with it.
    const wrapped = ['setpriv', ...identity, '--pdeathsig=TERM', ...command];
    const [program = '', ...args] = [...(options.prefix ?? []), ...wrapped];
    child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = await untilReady(child, ready);
    await untilListening(child, port);
    return {
      url: `http://${host.includes(':') ? `[${host}]` : host}:${String(port)}`,
      host,
      port,
      log: () => (logFile === null ? Promise.resolve(output()) : readFile(logFile, 'utf8')),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Resolves with what gives its output so far. */
async function untilReady(child: ChildProcess, ready: RegExp): Promise<() => string> {
  let said = '';
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-maxOutputLength);
        if (ready.test(said)) resolve();
      });
    }
    child.once('error', reject);
    child.once('exit', () => {
      reject(new Error(`the proxy did not start: ${said}`));
    });
  });
  return () => said;
}

/** Squid says that it accepts connections a moment before it does. Looked up where it lives, which may be another namespace. */
async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const listening = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F]+:0000 0A `);
  for (let tries = 0; tries < 500 && child.exitCode === null; tries++) {
    const tables = ['tcp', 'tcp6'].map((name) =>
      // Without IPv6 there is no tcp6.
      readFile(`/proc/${String(child.pid)}/net/${name}`, 'utf8').catch(() => ''),
    );
    if ((await Promise.all(tables)).some((table) => listening.test(table))) return;
    await wait(10);
  }
  throw new Error('the proxy does not listen');
}

async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
