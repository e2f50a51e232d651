/** What commands share: the configuration, and its faults as a person reads them. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { ConfigError, loadConfig, type Config } from '../config.ts';
import { localAddresses } from '../local-addresses.ts';
import { UsageError } from './command.ts';

/** `file` comes from `--config`. Throws {@link UsageError} that lists every fault. */
export function loadConfigOrExplain(
  file: string | undefined,
  environment: NodeJS.ProcessEnv,
  role: 'edge' | 'sfu' = 'edge',
): Config {
  try {
    return loadConfig({
      role,
      environment,
      file,
      readFile: (name) => readFileSync(name, 'utf8'),
      machine: { hostName: hostname(), addresses: localAddresses() },
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new UsageError(`${error.message}:\n${error.faults.map((fault) => `  ${fault}`).join('\n')}`);
  }
}
