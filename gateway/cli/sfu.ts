/** `sallyport sfu`: runs an SFU node until it is told to stop. */
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { StartError } from '../listeners.ts';
import type { SfuNodeInfo } from '../sfu-node.ts';
import { UsageError, type Command } from './command.ts';
import { loadConfigOrExplain } from './load.ts';

const help = `Usage: sallyport sfu [--config file.json]

Runs an SFU node without an edge. Edges reach it over trunks, on SALLYPORT_TRUNK_PORT; both prove themselves by
SALLYPORT_CLUSTER_SECRET, or by SALLYPORT_CLUSTER_CERT, _KEY and _CA. Clients reach its UDP port directly where they
can: SALLYPORT_PUBLIC_ADDRESS and SALLYPORT_UDP_PORT. Settings come from SALLYPORT_* variables and from a JSON file;
docs/operating.md lists them.

  --config <file>   JSON file with settings; the environment goes before it
  --help            this text

An edge that uses this node is started with SALLYPORT_UPSTREAM=trunk://this-host:trunk-port.
The log goes to standard error as JSON lines. SIGTERM and SIGINT stop the node; a second one at once. With
a directory, SIGTERM takes no new rooms and waits for the last session, for at most SALLYPORT_DRAIN_SECONDS.`;

export const sfuCommand: Command = { summary: 'run an SFU node, for edges elsewhere', help, run };

async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { config: { type: 'string' } } });
  const config = loadConfigOrExplain(values.config, process.env, 'sfu');
  // Here, because it loads the whole SFU, which --help can do without.
  const { createSfuNode } = await import('../sfu-node.ts');
  const log = pino({ level: config.logLevel, base: { node: config.edgeId } }, pino.destination({ fd: 2, sync: true }));
  const node = createSfuNode(config, { log });
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ signal }, 'stopping');
    if (signal === 'SIGTERM' && config.redisUrls !== null) void node.drain(1000 * config.drainSeconds);
    else void node.close();
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  let info: SfuNodeInfo;
  try {
    info = await node.start();
  } catch (error) {
    if (error instanceof StartError) throw new UsageError(error.message);
    throw error;
  }
  const { nodeId, trunkPort, udpPort, adminPort } = info;
  process.stdout.write(
    `SFU node ${nodeId}: trunks on TCP ${String(trunkPort)}, media on UDP ${String(udpPort)}, metrics on ${String(adminPort)}\n`,
  );
  await node.closed;
  return 0;
}
