/** What `sallyport join` was asked to do. */
import { parseArgs } from 'node:util';
import type { NodeJoinOptions } from '../../client/index.ts';
import { rungs } from '../../tunnel-protocol/index.ts';
import type { Rung } from '../../tunnel-protocol/index.ts';
import { UsageError } from './command.ts';

export interface JoinArguments {
  readonly url: string;
  readonly room: string;
  readonly name: string | undefined;
  readonly token: string | undefined;
  readonly rungs: readonly Rung[] | undefined;
  readonly publish: readonly string[];
  readonly record: readonly string[];
  /** Undefined: as the environment says. */
  readonly proxy: NonNullable<NodeJoinOptions['proxy']> | undefined;
  readonly caFile: string | undefined;
  readonly insecure: boolean;
  /** Null: until Ctrl-C. */
  readonly durationMs: number | null;
}

export const joinHelp = `Usage: sallyport join <url> --room <room> [options]

Joins a room as a participant without a screen: publishes a clip, records what it sees, and prints how the call goes.
Ctrl-C leaves the room.

  <url>                 address of the edge: https://edge.example, edge.example:8443
  --room <room>         the room to join (required)
  --name <name>         the name that the others see
  --token <token>       join token; "sallyport token --room <room>" prints one. Also read from SALLYPORT_TOKEN
  --rung <rung>         allow only this rung for media: udp, turn-udp, ice-tcp, turn-tcp, turn-tls or websocket;
                        may be given several times. Without it all are tried, and the best that works is used
  --publish <file>      a clip to play over and over: .ivf (VP8) or .ogg (Opus); once for each
  --record <file>       write main's picture to a .ivf file, its sound to a .ogg file; once for each
  --proxy <url>         go through this HTTP proxy (http://proxy.example:3128), or "none". Without it, the environment
                        says: HTTPS_PROXY, HTTP_PROXY (for http:// edges) and NO_PROXY
  --proxy-user <user:password>
                        for proxies that ask who you are, by Basic or Digest; may also stand in the proxy's URL
  --ca <file>           trust this authority's certificate too (PEM): for edges with certificates of your own, and for
                        networks whose proxy intercepts TLS
  --insecure            accept any certificate: only for tests on a machine of your own
  --duration <seconds>  leave after this time
  --help                print this

Exit codes: 0 the call ended as asked, 1 a mistake in the arguments or a file, 2 the join failed, 3 the call was lost.`;

/** Throws UsageError, which names the fault. */
export function parseJoinArguments(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): JoinArguments {
  const { values, positionals } = parse(args);
  const [url, ...more] = positionals;
  if (url === undefined)
    throw new UsageError('Say which edge to join: sallyport join https://edge.example --room <room>');
  if (more.length > 0) throw new UsageError(`Only one address can be joined; "${more.join(' ')}" is too much.`);
  const { room, duration } = values;
  if (room === undefined || room === '') throw new UsageError('Say which room to join: --room <room>');
  return {
    url: url.includes('://') ? url : `https://${url}`,
    room,
    name: values.name,
    token: values.token ?? environment['SALLYPORT_TOKEN'],
    rungs: values.rung?.map(readRung),
    publish: oneOfEach('--publish', values.publish ?? []),
    record: oneOfEach('--record', values.record ?? []),
    proxy: readProxy(values.proxy, values['proxy-user']),
    caFile: values.ca,
    insecure: values.insecure ?? false,
    durationMs: duration === undefined ? null : readSeconds(duration) * 1000,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        room: { type: 'string' },
        name: { type: 'string' },
        token: { type: 'string' },
        rung: { type: 'string', multiple: true },
        publish: { type: 'string', multiple: true },
        record: { type: 'string', multiple: true },
        proxy: { type: 'string' },
        'proxy-user': { type: 'string' },
        ca: { type: 'string' },
        insecure: { type: 'boolean' },
        duration: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)} See sallyport join --help.`);
  }
}

/** Of the options `--proxy` and `--proxy-user`. Throws UsageError. */
export function readProxy(url: string | undefined, user: string | undefined): JoinArguments['proxy'] {
  if (url === 'none') return false;
  if (user === undefined) return url;
  const colon = user.indexOf(':');
  if (colon < 1) throw new UsageError('--proxy-user: must be the name, a colon and the password.');
  return {
    username: user.slice(0, colon),
    password: user.slice(colon + 1),
    ...(url === undefined ? {} : { url }),
  };
}

function readRung(text: string): Rung {
  const rung = rungs.find((known) => known === text);
  if (rung === undefined) throw new UsageError(`--rung ${text}: not a rung; they are ${rungs.join(', ')}.`);
  return rung;
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 1_000_000))
    throw new UsageError(`--duration ${text}: must be a number of seconds above 0.`);
  return seconds;
}

/** At most one file with pictures and one with sound, told by the ending. */
function oneOfEach(option: string, files: readonly string[]): readonly string[] {
  const isPicture = files.map((file) => {
    if (/\.ivf$/i.test(file)) return true;
    if (/\.(ogg|opus)$/i.test(file)) return false;
    throw new UsageError(`${option} ${file}: must end in .ivf (pictures) or .ogg (sound).`);
  });
  for (const kind of [true, false]) {
    if (isPicture.filter((is) => is === kind).length > 1) {
      throw new UsageError(`${option}: only one file with ${kind ? 'pictures' : 'sound'} can be given.`);
    }
  }
  return files;
}

export function isPictureFile(file: string): boolean {
  return /\.ivf$/i.test(file);
}
