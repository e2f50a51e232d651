/** `sallyport token`: signs a join token with the edge's secret. */
import { parseArgs } from 'node:util';
import type { Permission } from '../../tunnel-protocol/index.ts';
import { isUpstream, permissions, TokenAuthority } from '../auth.ts';
import { isName, isRoomName } from '../names.ts';
import { readStoredSecret } from '../stored-secret.ts';
import { UsageError, type Command } from './command.ts';
import { loadConfigOrExplain } from './load.ts';

const help = `Usage: sallyport token --room <room> [options]

Prints a join token (a JWT). It is signed by SALLYPORT_SECRET, or by the secret that an edge started in this folder has
made for itself.

  --room <room>       the room it is for; '*' for an administrator of every room
  --identity <text>   who it is for; without it, each join gets a fresh identity
  --name <text>       the name that others see; without it, the client chooses
  --publish           may send audio and video
  --subscribe         may receive them
  --data              may use data channels
  --admin             may list rooms, mute and kick
                      (none of these four: publish, subscribe and data)
  --upstream <address:port>
                      which SFU of others it is for, where the edge has SALLYPORT_UPSTREAM=udp; several times for
                      several, and in the forms of SALLYPORT_RELAY_ALLOW. Without it, all that the edge allows
  --ttl <time>        how long it is good for: 30s, 15m, 1h, 7d; 1h if left out
  --config <file>     JSON file with settings
  --help              this text`;

export const tokenCommand: Command = {
  summary: 'print a join token',
  help,
  run: async (args) => {
    process.stdout.write(`${await makeToken(args, process.env)}\n`);
    return 0;
  },
};

const secondsByUnit: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
const defaultPermissions = ['publish', 'subscribe', 'data'] as const;

/** Throws {@link UsageError}, or what `parseArgs` throws. */
export async function makeToken(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<string> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      room: { type: 'string' },
      identity: { type: 'string' },
      name: { type: 'string' },
      publish: { type: 'boolean' },
      subscribe: { type: 'boolean' },
      data: { type: 'boolean' },
      admin: { type: 'boolean' },
      upstream: { type: 'string', multiple: true },
      ttl: { type: 'string', default: '1h' },
      config: { type: 'string' },
    },
  });
  const { room, identity = null, name = null, upstream, ttl } = values;
  if (room === undefined) throw new UsageError('say which room the token is for: --room <room>');
  const asked = permissions.filter((permission) => values[permission] === true);
  const can: readonly Permission[] = asked.length === 0 ? defaultPermissions : asked;
  if (!isRoomName(room) && !(room === '*' && can.includes('admin'))) {
    throw new UsageError('--room must be 1 to 64 printable characters; * goes with --admin only');
  }
  for (const [option, text] of Object.entries({ identity, name })) {
    if (text !== null && !isName(text)) throw new UsageError(`--${option} must be 1 to 64 printable characters`);
  }
  const wrong = upstream?.find((entry) => !isUpstream(entry));
  if (wrong !== undefined) throw new UsageError(`--upstream must be like 192.0.2.10:10000; it is "${wrong}"`);
  const seconds = parseDuration(ttl);
  const config = loadConfigOrExplain(values.config, environment);
  const secret = config.secret ?? (await readStoredSecret(config.dataDir));
  if (secret === null) {
    throw new UsageError(
      `there is no secret to sign with: set SALLYPORT_SECRET to that of the edge, or run this in the folder where an edge has been started (looked in ${config.dataDir})`,
    );
  }
  const grant = { identity, room, name, can, hidden: false, ...(upstream === undefined ? {} : { upstream }) };
  return new TokenAuthority(secret).issueJoinToken(grant, seconds);
}

/** Seconds. */
function parseDuration(text: string): number {
  const [, count, unit] = /^([1-9][0-9]{0,8})([smhd])$/.exec(text) ?? [];
  const factor = secondsByUnit[unit ?? ''];
  if (count === undefined || factor === undefined) throw new UsageError('--ttl must be like 30s, 15m, 1h or 7d');
  return Number(count) * factor;
}
