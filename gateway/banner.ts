/** What a person sees who starts an edge: where to go next. The log is for machines; this is not part of it. */
import { hostOf, isLoopback, isWildcard } from './addresses.ts';
import type { Config } from './config.ts';
import type { EdgeInfo } from './edge.ts';

const demoRoom = 'demo';
const demoTokenSeconds = 86_400;

/** Lines without a final line break. Holds a token where the edge runs on a secret of its own making. */
export async function banner(config: Config, info: EdgeInfo, version: string): Promise<string> {
  const { auth, secret, adminHost, tls, publicHost, publicAddresses, hosts } = config;
  const here = new URL(`https://${localName(hosts)}:${String(info.port)}/`);
  const there =
    publicHost === null
      ? publicAddresses
          .filter((address) => !isLoopback(address))
          .map((address) => `https://${hostOf(address)}:${String(info.port)}/`)
      : [`https://${publicHost.host}:${String(publicHost.port ?? info.port)}/`];
  const lines = [
    `Sallyport ${version} is running (${info.engine === 'uws' ? 'uWebSockets.js' : 'node:http'}).`,
    '',
    `  page       ${here.href}`,
    ...there
      .filter((url) => new URL(url).href !== here.href)
      .map((url) => `             ${new URL(url).href}  (from elsewhere)`),
    `  media      UDP port ${String(info.udpPort)} on ${publicAddresses.join(', ')}`,
    `  TURN       ${info.turnUdpPort === 0 ? '' : `UDP port ${String(info.turnUdpPort)}, `}TCP and TLS on port ${String(info.port)}`,
    `  admin      http://${hostOf(adminHost)}:${String(info.adminPort)}/metrics`,
  ];
  if (info.certificatePin !== null && tls === null) {
    lines.push(
      `  pin        ${info.certificatePin}`,
      '             (the certificate is self-signed: let your browser accept it)',
    );
  }
  lines.push('', ...(await joining(config, info, here)));
  if (auth === 'token' && secret !== null) lines.push('  Make a token:  npx sallyport token --room <room>');
  return lines.join('\n');
}

async function joining({ auth, secret }: Config, { tokens }: EdgeInfo, page: URL): Promise<readonly string[]> {
  const link = new URL(page);
  link.searchParams.set('room', demoRoom);
  if (auth === 'open') {
    return ['  OPEN MODE: nobody needs a token. Join from two tabs:', `    ${link.href}`];
  }
  if (secret !== null) return [];
  const can = ['publish', 'subscribe', 'data'] as const;
  const grant = { identity: null, room: demoRoom, name: null, can, hidden: false };
  // In the fragment, which no browser sends and no proxy logs.
  link.hash = `token=${await tokens.issueJoinToken(grant, demoTokenSeconds)}`;
  return [
    `  Join the room "${demoRoom}" from two tabs by this link (it holds a token, good for a day):`,
    `    ${link.href}`,
    '  A token for another room:  npx sallyport token --room <room>',
  ];
}

/** A name that works on this machine. */
function localName(hosts: readonly string[]): string {
  if (hosts.some((host) => isWildcard(host) || isLoopback(host))) return 'localhost';
  return hostOf(hosts[0] ?? 'localhost');
}
