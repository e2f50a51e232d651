/** What `sallyport agent` was asked to do. */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { controlRungs, type ControlRung } from '../../tunnel-protocol/index.ts';
import { isLoopback, isWildcard, parseAddress } from '../addresses.ts';
import { isRoomName } from '../names.ts';
import { UsageError } from './command.ts';
import { readProxy, type JoinArguments } from './join-arguments.ts';

export interface AgentArguments {
  readonly url: string;
  readonly room: string;
  readonly token: string | undefined;
  /** Canonical. */
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  readonly username: string;
  readonly credential: string;
  readonly rungs: readonly ControlRung[] | undefined;
  readonly proxy: JoinArguments['proxy'];
  readonly caFile: string | undefined;
  readonly insecure: boolean;
}

export const agentHelp = `Usage: sallyport agent <url> [options]

Offers TURN on this machine, and carries it to the edge by whatever the network lets through: WebSocket, an HTTP stream or
long-polls, through a proxy too. A WebRTC application that is told of it, by the iceServers entry that is printed, gets out
unmodified. Ctrl-C ends it.

  <url>                 address of the edge: https://edge.example, edge.example:8443
  --token <token>       join token, where the edge wants one; it also says whom the application may reach. Also read from
                        SALLYPORT_TOKEN
  --room <room>         the room of the token, where it does not say; without a token, "agent"
  --listen <address:port>
                        where to listen, on UDP and TCP; 127.0.0.1:3478 if left out. The address must be one of
                        this machine alone, unless there is
  --allow-remote        lets other machines use the agent as well. TURN's credentials are then all that keeps them from it:
                        choose a long password
  --user <name>         user name of the iceServers entry; "sallyport" if left out
  --password <text>     its credential; a random one at each start if left out. Also read from SALLYPORT_AGENT_PASSWORD
  --rung <rung>         allow only this carrier: websocket, http-stream or long-poll; may be given several times
  --proxy <url>         go through this HTTP proxy (http://proxy.example:3128), or "none". Without it, the environment
                        says: HTTPS_PROXY, HTTP_PROXY (for http:// edges) and NO_PROXY
  --proxy-user <user:password>
                        for proxies that ask who you are, by Basic or Digest
  --ca <file>           trust this authority's certificate too (PEM)
  --insecure            accept any certificate: only for tests on a machine of your own
  --help                print this

The agent reaches what the edge lets TURN reach: its SFU, and SALLYPORT_RELAY_ALLOW. When the session at the edge is lost,
another one is asked for; the application's credentials stay as they are.
Exit codes: 0 ended as asked, 1 a mistake in the arguments or a file, 2 the edge cannot be used.`;

const defaultListen = { host: '127.0.0.1', port: 3478 };
const defaultRoom = 'agent';
const leastRemotePassword = 16;

/** Throws UsageError, which names the fault, or what `parseArgs` throws. */
export function parseAgentArguments(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): AgentArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      room: { type: 'string' },
      token: { type: 'string' },
      listen: { type: 'string' },
      'allow-remote': { type: 'boolean', default: false },
      user: { type: 'string', default: 'sallyport' },
      password: { type: 'string' },
      rung: { type: 'string', multiple: true },
      proxy: { type: 'string' },
      'proxy-user': { type: 'string' },
      ca: { type: 'string' },
      insecure: { type: 'boolean', default: false },
    },
  });
  const [url, ...more] = positionals;
  if (url === undefined) throw new UsageError('say which edge: sallyport agent https://edge.example');
  if (more.length > 0) throw new UsageError(`only one edge can be used; "${more.join(' ')}" is too much`);
  const token = values.token ?? environment['SALLYPORT_TOKEN'];
  const { host, port } = values.listen === undefined ? defaultListen : readListen(values.listen);
  const password = values.password ?? environment['SALLYPORT_AGENT_PASSWORD'];
  if (!isCredential(values.user)) throw new UsageError('--user must be 1 to 128 printable ASCII characters, no blanks');
  if (password !== undefined && !isCredential(password)) {
    throw new UsageError('--password must be 1 to 128 printable ASCII characters, no blanks');
  }
  if (!isLoopback(host)) {
    if (!values['allow-remote']) {
      throw new UsageError(
        `--listen ${host}: other machines could use the agent there; say --allow-remote if that is what you want`,
      );
    }
    if (password !== undefined && password.length < leastRemotePassword) {
      throw new UsageError(`--password: with --allow-remote at least ${String(leastRemotePassword)} characters`);
    }
  }
  const room = values.room ?? roomOf(token) ?? defaultRoom;
  if (!isRoomName(room)) throw new UsageError('--room must be 1 to 64 printable characters');
  return {
    url: url.includes('://') ? url : `https://${url}`,
    room,
    token,
    host,
    port,
    username: values.user,
    credential: password ?? randomBytes(18).toString('base64url'),
    rungs: values.rung?.map(readCarrier),
    proxy: readProxy(values.proxy, values['proxy-user']),
    caFile: values.ca,
    insecure: values.insecure,
  };
}

function readListen(text: string): { readonly host: string; readonly port: number } {
  const [, host = '', digits = ''] = /^(?:(.*):)?(\d{1,5})$/.exec(text) ?? [];
  const address = host === '' || host === 'localhost' ? defaultListen.host : parseAddress(host.replace(/^\[|\]$/g, ''));
  if (address === null || digits === '' || Number(digits) > 65_535) {
    throw new UsageError(`--listen ${text}: must be a port, or an address and a port such as 127.0.0.1:3478`);
  }
  if (isWildcard(address)) {
    throw new UsageError(`--listen ${text}: name one address; answers must come from the one that was asked`);
  }
  return { host: address, port: Number(digits) };
}

/** Of a join token, which the edge alone can check. */
function roomOf(token: string | undefined): string | null {
  try {
    const payload = Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString();
    const { room } = JSON.parse(payload) as { readonly room?: unknown };
    return typeof room === 'string' && room !== '*' ? room : null;
  } catch {
    return null;
  }
}

function readCarrier(text: string): ControlRung {
  const rung = controlRungs.find((known) => known === text);
  if (rung === undefined) throw new UsageError(`--rung ${text}: must be one of ${controlRungs.join(', ')}`);
  return rung;
}

function isCredential(text: string): boolean {
  return /^[\x21-\x7e]{1,128}$/.test(text);
}
