/** `sallyport start`: runs an edge until it is told to stop. */
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import type { EdgeInfo } from '../edge.ts';
import { StartError } from '../listeners.ts';
import { UsageError, type Command } from './command.ts';
import { loadConfigOrExplain } from './load.ts';
import { packageVersion } from '../package-version.ts';

const help = `Usage: sallyport start [--config file.json]

Runs one edge with its SFU. Settings come from SALLYPORT_* variables and from a JSON file with the same names in
camelCase (--config, or SALLYPORT_CONFIG); docs/operating.md lists them.

  --config <file>   JSON file with settings; the environment goes before it
  --help            this text

The log goes to standard error as JSON lines. SIGTERM and SIGINT stop the edge gracefully; a second one at once.
With a directory, SIGTERM sends its clients to other edges first, for at most SALLYPORT_DRAIN_SECONDS.`;

export const startCommand: Command = {
  summary: 'run an edge: gateway, SFU and demo page',
  help,
  run,
};

async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { config: { type: 'string' } } });
  const config = loadConfigOrExplain(values.config, process.env);
  // Here, because they load the whole SFU, which --help can do without.
  const [{ createEdge }, { banner }] = await Promise.all([import('../edge.ts'), import('../banner.ts')]);
  const log = pino({ level: config.logLevel, base: { edge: config.edgeId } }, pino.destination({ fd: 2, sync: true }));
  const edge = createEdge(config, { log });
  const stopping = new AbortController();
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping.signal.aborted) process.exit(1);
    stopping.abort();
    log.info({ signal }, 'stopping');
    // Alone, it has nowhere to send its clients.
    if (signal === 'SIGTERM' && config.redisUrls !== null) void edge.drain(1000 * config.drainSeconds);
    else void edge.close();
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  let info: EdgeInfo;
  try {
    info = await edge.start();
  } catch (error) {
    if (error instanceof StartError) throw new UsageError(error.message);
    throw error;
  }
  if (!stopping.signal.aborted) process.stdout.write(`${await banner(config, info, packageVersion())}\n`);
  await edge.closed;
  return 0;
}
