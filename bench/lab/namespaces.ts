/**
 * A small internet of network namespaces: a client in a company network, the company's router with its firewall, and an
 * edge outside. Nothing in it is connected to this machine's own network.
 *
 * ```text
 *   client namespace          router namespace             edge namespace
 *   eth0 10.20.0.2 ── veth ── inside 10.20.0.1
 *                             (nftables, forwarding)
 *                             outside 198.51.100.1 ─ link ─ eth0 198.51.100.10
 * ```
 *
 * The link is a plain pair of virtual Ethernet devices or, where delay, loss or a rate are wanted, the emulator of link/.
 */
import { fork, spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { runCommand } from './command.ts';
import type { LinkParameters } from './link/parameters.ts';
import type { LinkStatistics } from './link/main.ts';
import { startLink } from './emulated-link.ts';
import { Remains, removeStale } from './remains.ts';

export const clientAddress = '10.20.0.2';
export const edgeAddress = '198.51.100.10';

export interface Namespace {
  readonly name: string;
  /** A command that runs another one in this namespace: put it in front. */
  readonly prefix: readonly string[];
  /** Runs a program to its end; resolves to its standard output. */
  run(command: readonly string[], input?: string): Promise<string>;
  /** Starts a program, which is killed with the lab at the latest. */
  spawn(command: readonly string[], options?: SpawnOptions): ChildProcess;
  /** Starts a compiled module as a Node process with a channel for messages. */
  fork(module: string, environment?: Readonly<Record<string, string>>): ChildProcess;
}

export interface Lab {
  readonly client: Namespace;
  readonly router: Namespace;
  readonly edge: Namespace;
  /** Removed with the lab. */
  readonly folder: string;
  /** Replaces the whole ruleset of the router; an empty one lets everything pass. */
  readonly setFirewall: (ruleset: string) => Promise<void>;
  /** Packets that rules with a `counter` and a verdict of `drop` or `reject` have stopped, in all rulesets so far. */
  packetsStopped(): Promise<number>;
  /** Of the emulated link so far; null with a plain one. Ends the link. */
  endLink(): Promise<LinkStatistics | null>;
}

export interface LabOptions {
  /** nft(8) ruleset of the router. Its devices are `inside` and `outside`. */
  readonly firewall?: string;
  /** What the way between router and edge does to packets; a plain wire if absent. */
  readonly link?: EmulatedLink;
}

export interface EmulatedLink {
  /** From the client's side to the edge's. */
  readonly up: LinkParameters;
  readonly down: LinkParameters;
  readonly seed?: number;
}

/** Builds the namespaces, and removes them, with every process in them, when `use` is done, has failed, or this process ends. */
export async function withNamespaces<T>(options: LabOptions, use: (lab: Lab) => Promise<T>): Promise<T> {
  removeStale();
  const remains = new Remains();
  try {
    return await use(await build(options, remains));
  } finally {
    remains.remove();
  }
}

async function build({ firewall = '', link }: LabOptions, remains: Remains): Promise<Lab> {
  const [client, router, edge] = await Promise.all(
    ['client', 'router', 'edge'].map((role) => createNamespace(remains.nameNamespace(role))),
  );
  if (client === undefined || router === undefined || edge === undefined) throw new Error('a namespace is missing');
  await router.run(['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  await connect(router, 'inside', client);
  const emulator = link === undefined ? null : await startLink({ near: router, far: edge, link });
  if (emulator === null) await connect(router, 'outside', edge);
  await Promise.all([
    configure(router, 'inside', '10.20.0.1/24'),
    configure(client, 'eth0', `${clientAddress}/24`, '10.20.0.1'),
    configure(router, 'outside', '198.51.100.1/24'),
    configure(edge, 'eth0', `${edgeAddress}/24`, '198.51.100.1'),
  ]);
  const stoppedNow = async (): Promise<number> => stoppedBy(await router.run(['nft', '--json', 'list', 'ruleset']));
  let stoppedBefore = 0;
  const setFirewall = async (ruleset: string): Promise<void> => {
    stoppedBefore += await stoppedNow();
    await router.run(['nft', '-f', '-'], `flush ruleset\n${ruleset}\n`);
  };
  await setFirewall(firewall);
  return {
    client,
    router,
    edge,
    folder: remains.folder,
    setFirewall,
    packetsStopped: async () => stoppedBefore + (await stoppedNow()),
    endLink: () => emulator?.end() ?? Promise.resolve(null),
  };
}

async function createNamespace(name: string): Promise<Namespace> {
  await runCommand(['ip', 'netns', 'add', name]);
  const prefix = ['ip', 'netns', 'exec', name];
  const namespace: Namespace = {
    name,
    prefix,
    run: (command, input) => runCommand([...prefix, ...command], input),
    spawn: (command, options = {}) =>
      spawn('ip', [...prefix.slice(1), ...command], { env: labEnvironment(), ...options }),
    fork: (module, environment = {}) =>
      fork(module, {
        execPath: 'ip',
        execArgv: [...prefix.slice(1), process.execPath],
        env: { ...labEnvironment(), ...environment },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      }),
  };
  // The lab is about IPv4 firewalls: without this, a rung could pass by a protocol that no rule looks at.
  await namespace.run([
    'sh',
    '-c',
    'for each in all default; do echo 1 > /proc/sys/net/ipv6/conf/$each/disable_ipv6; done',
  ]);
  await namespace.run(['ip', 'link', 'set', 'lo', 'up']);
  return namespace;
}

/** A pair of virtual Ethernet devices: `device` in the one namespace, `eth0` in the other. */
async function connect(near: Namespace, device: string, far: Namespace): Promise<void> {
  const pair = ['name', device, 'netns', near.name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', far.name];
  await runCommand(['ip', 'link', 'add', ...pair]);
}

async function configure(namespace: Namespace, device: string, address: string, gateway?: string): Promise<void> {
  await namespace.run(['ip', 'address', 'add', address, 'dev', device]);
  await namespace.run(['ip', 'link', 'set', device, 'txqueuelen', String(queuedPackets), 'up']);
  if (gateway !== undefined) await namespace.run(['ip', 'route', 'add', 'default', 'via', gateway]);
}

/** A device must not drop what an emulated link would have let through while the machine was busy. */
const queuedPackets = 10_000;

/** This process's environment without what would reach into the lab: settings of an edge, and proxies. */
export function labEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !outsideVariable.test(name)));
}

const outsideVariable = /^SALLYPORT_|^(?:all|ftp|https?|no)_proxy$/i;

type RuleExpression = Readonly<Record<string, unknown>>;

/** @param json As `nft --json list ruleset` prints it (libnftables-json(5)). */
function stoppedBy(json: string): number {
  const { nftables } = JSON.parse(json) as { nftables: { rule?: { expr: RuleExpression[] } }[] };
  let packets = 0;
  for (const { rule } of nftables) {
    if (rule?.expr.some((part) => 'drop' in part || 'reject' in part) !== true) continue;
    for (const { counter } of rule.expr) packets += (counter as { packets: number } | undefined)?.packets ?? 0;
  }
  return packets;
}
